// Answers in several pages against a small budget: whole or not at all, and never paid for half.
import { afterEach, describe, expect, it } from 'vitest';
import type { AppError } from '../../../src/errors.js';
import type { OhlcvRequest } from '../../../src/exchanges/exchange-client.js';
import { NOW, startVenues, type Venues } from './venue-fixture.js';

const MINUTE = 60_000;
/** Coinbase gives 300 a call: seven. */
const LONG: OhlcvRequest = {
  kind: 'ohlcv',
  exchange: 'coinbaseexchange',
  symbol: 'BTC/USD',
  interval: '1m',
  limit: 2000,
};

let venues: Venues | undefined;
afterEach(async () => {
  await venues?.close();
  venues = undefined;
});
const start = async (requests: number, windowMs = MINUTE): Promise<Venues> => {
  venues = await startVenues({ budget: { requests, windowMs } });
  return venues;
};
const candleCalls = ({ requests }: Venues): number =>
  requests().filter(({ kind }) => kind === 'ohlcv').length;

describe('five long requests at once', () => {
  it.each([
    [35, 5],
    [20, 2],
    [14, 2],
    [7, 1],
  ])('with a budget of %i: %i succeed, the others fail before a page is asked for', async (budget, fit) => {
    const here = await start(budget);
    const callsAtRefusal: number[] = [];
    const settled = await Promise.allSettled(
      Array.from({ length: 5 }, () =>
        here.ask(LONG).catch((error: unknown) => {
          callsAtRefusal.push(candleCalls(here));
          throw error;
        }),
      ),
    );
    const answers = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const errors = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as AppError] : []));
    expect(answers.map(({ candles }) => candles.length)).toEqual(Array.from({ length: fit }, () => 2000));
    expect(errors.map(({ code, retryAfterMs }) => [code, retryAfterMs])).toEqual(
      Array.from({ length: 5 - fit }, () => ['upstream_budget_exhausted', MINUTE]),
    );
    expect(callsAtRefusal).toEqual(errors.map(() => 0));
    expect(candleCalls(here)).toBe(7 * fit);
  });

  it('leave the rest of the budget to short ones, and can be had when they were told to come back', async () => {
    const here = await start(15);
    await Promise.all([here.ask(LONG), here.ask(LONG)]);
    const refused = await here.refusal(LONG);
    expect(await here.ask({ ...LONG, limit: 300 })).toMatchObject({ exchange: 'coinbaseexchange' });
    here.moveTo(NOW + (refused.retryAfterMs ?? 0));
    expect((await here.ask(LONG)).candles).toHaveLength(2000);
  });
});

describe('a long request', () => {
  it('that exceeds the whole budget is refused with what can be had', async () => {
    const here = await start(5);
    const error = await here.refusal(LONG);
    const reason =
      'at most 1500 of these candles can be had at once: coinbaseexchange gives 300 a request, ' +
      "and this server's budget for it allows 5";
    expect(error).toMatchObject({
      code: 'invalid_request',
      retryable: false,
      errors: [{ parameter: 'limit', reason }],
    });
    expect(candleCalls(here)).toBe(0);
    expect((await here.ask({ ...LONG, limit: 1500 })).candles).toHaveLength(1500);
  });

  it('takes no more slots than the time since then has candles', async () => {
    const here = await start(2);
    const { candles } = await here.ask({ ...LONG, since: NOW - 400 * MINUTE });
    expect(candles).toHaveLength(400);
    expect(candleCalls(here)).toBe(2);
  });

  it('gives the slots back that it did not use when a page fails', async () => {
    const here = await start(8);
    await here.ask({ ...LONG, limit: 1 });
    here.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'status', status: 500 }, times: 1 });
    expect(await here.refusal(LONG)).toMatchObject({ code: 'upstream_unavailable' });
    expect((await here.ask({ ...LONG, limit: 1800 })).candles).toHaveLength(1800);
    expect(candleCalls(here)).toBe(8);
  });
});
