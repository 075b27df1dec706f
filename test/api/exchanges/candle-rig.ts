/** Candles of one venue through CCXT, at a Thursday noon. */
import { afterEach } from 'vitest';
import type { OhlcvRequest } from '../../../src/exchanges/exchange-client.js';
import { startFakeVenue, type Answer, type FakeVenue } from '../../support/fake-venue.js';
import { resilientClient, type FakeMarket, type VenueClient } from '../../support/venue-client.js';

export const MINUTE = 60_000;
export const DAY = 1440 * MINUTE;
/** A Thursday noon, a quarter into its minute. */
export const NOW = Date.UTC(2026, 10, 26, 12, 0, 15);
export const M = NOW - 15_000;
export const seconds = (at: number): number => Math.floor(at / 1000);

/** Time goes on from NOW as slowly as the test does, so that CCXT's pacing is done with. */
const clock = (): (() => number) => {
  const started = performance.now();
  return () => NOW + Math.min(5_000, performance.now() - started);
};

type CandlesRequest = Omit<OhlcvRequest, 'kind' | 'exchange' | 'symbol'> & { readonly answer: Answer };

/** A venue and a client for each test of a file, closed at its end. */
export const candleRig = () => {
  let venue: FakeVenue | undefined;
  let client: VenueClient | undefined;
  afterEach(async () => {
    await client?.close();
    await venue?.close();
  });
  return {
    client: () => client,
    closeVenue: async () => venue?.close(),
    /** Asks twice: for the answer, and for its body. */
    candlesOf: async (exchange: string, market: FakeMarket, { answer, ...request }: CandlesRequest) => {
      const now = clock();
      venue = await startFakeVenue({ answer, now });
      client = resilientClient(exchange, venue, { markets: [market], now });
      const answered = await client.fetch({ kind: 'ohlcv', exchange, symbol: market.symbol, ...request });
      const body = await client.ask({ kind: 'ohlcv', exchange, symbol: market.symbol, ...request });
      return {
        ...body,
        starts: body.candles.map(({ timestamp }) => timestamp),
        answered,
        requests: venue.requests,
      };
    },
  };
};

export const range = (from: number, count: number, step = MINUTE): number[] =>
  Array.from({ length: count }, (_, index) => from + index * step);
