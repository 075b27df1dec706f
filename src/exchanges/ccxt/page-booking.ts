/**
 * Slots for all pages of an answer before the first is asked for: a call that the budget ends in the middle has spent
 * what others could have used, for nothing.
 */
import { AppError } from '../../errors.js';
import type { ExchangeId } from '../../schemas/common.js';
import type { UpstreamGate } from '../rate-limit/upstream-gate.js';
import { currentUpstreamCall, withUpstreamCall } from './call-context.js';
import type { CandlePlan } from './candle-plan.js';
import { pagesOf } from './candles.js';

interface Payer {
  readonly exchange: ExchangeId;
  readonly gate: UpstreamGate;
}

/** No waiting helps: even the whole budget has too little room for it. */
const tooLong = (exchange: ExchangeId, plan: CandlePlan, most: number): AppError => {
  let limit = Math.min(plan.limit, most * plan.quirks.candlePage);
  while (limit > 1 && pagesOf({ ...plan, limit }) > most) limit -= 1;
  const reason =
    `at most ${limit} of these candles can be had at once: ${exchange} gives ${plan.quirks.candlePage} a request, ` +
    `and this server's budget for it has room for ${most}`;
  return new AppError('invalid_request', `limit: ${reason}.`, { errors: [{ parameter: 'limit', reason }] });
};

/**
 * Runs `work` with a slot booked for each of its pages; a single one needs none. Rejects before anything is spent:
 * `upstream_budget_exhausted` or `upstream_rate_limited` where they can be had later, `invalid_request` where never.
 */
export const withPagesBooked = async <T>(
  { exchange, gate }: Payer,
  plan: CandlePlan,
  work: () => Promise<T>,
): Promise<T> => {
  const call = currentUpstreamCall();
  const requests = pagesOf(plan);
  if (call === undefined || requests === 1) return work();
  const { priority, deadline, client } = call;
  const booking = await gate.book({ exchange, priority, client, deadline, requests });
  if ('most' in booking) throw tooLong(exchange, plan, booking.most);
  try {
    return await withUpstreamCall({ ...call, booking }, work);
  } finally {
    booking.release();
  }
};
