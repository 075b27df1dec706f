/** Subscriptions to a market in which nothing happens, and the limit on polls that finds out whether it does. */
import { AppError } from '../../../src/errors.js';
import type { MarketRequest } from '../../../src/exchanges/exchange-client.js';
import type { Channel } from '../../../src/schemas/stream.js';
import { FakeClient, START, candle, tickerBody, trade } from './fakes.js';
import { hub, market, time, venue } from './rig.js';

export const SPACING_MS = 6_000;
const WINDOW_MS = 60_000;
export const POLLS_PER_WINDOW = 50;

export const BOOK = { bids: [{ price: 1, amount: 1 }], asks: [{ price: 2, amount: 1 }], timestamp: START };
export const ANSWERS: Readonly<Record<Channel, object>> = {
  ticker: tickerBody(100, START - 1000),
  trades: { trades: [trade('1', START - 1000)] },
  orderbook: BOOK,
  ohlcv: { candles: [candle(START - 60_000, 1, { closed: true }), candle(START, 1)] },
};

/** The gate as it is for polls: so many a minute, the rest refused by this server itself. `asked`: when each left. */
export const limitPolls = (answerOf: (request: MarketRequest) => object): { readonly asked: number[] } => {
  const asked: number[] = [];
  const { fetch } = venue;
  venue.fetch = (request, options) => {
    const recent = asked.filter((at) => at > time.monotonic() - WINDOW_MS);
    if (recent.length >= POLLS_PER_WINDOW)
      return Promise.reject(
        new AppError('upstream_budget_exhausted', 'No budget.', {
          retryAfterMs: (recent.at(-POLLS_PER_WINDOW) ?? 0) + WINDOW_MS - time.monotonic(),
        }),
      );
    asked.push(time.monotonic());
    venue.answer = answerOf(request);
    return fetch(request, options);
  };
  return { asked };
};

export const subscribe = async (channel: Channel, symbol: string): Promise<FakeClient> => {
  market.answer = ANSWERS[channel];
  const client = new FakeClient();
  const interval = channel === 'ohlcv' ? { interval: '1m' } : {};
  await hub.subscribe(
    { topic: { channel, exchange: 'binance', symbol, ...interval }, name: 'binance' },
    client,
  );
  return client;
};
