import { describe, expect, it } from 'vitest';
import { AppError, type ErrorCode } from '../../../../src/errors.js';
import type { MarketKind } from '../../../../src/schemas/market.js';
import type { MarketRequest, WatchSink } from '../../../../src/exchanges/exchange-client.js';
import { withLearntCapabilities } from '../../../../src/exchanges/resilience/learnt-capabilities.js';
import { createFakeExchangeClient, venueAnswer } from '../../../support/fake-exchange-client.js';

const exchange = 'kraken';
const requestFor = (kind: MarketKind): MarketRequest => ({
  kind,
  exchange,
  symbol: 'BTC/USD',
  limit: 5,
  interval: '1m',
});
const OPTIONS = { deadline: 1, priority: 'caller' } as const;

const start = () => {
  const venue = createFakeExchangeClient(() => 0);
  let sink: WatchSink | undefined;
  venue.watch = (_, given) => {
    sink = given;
    return { close: () => undefined };
  };
  const client = withLearntCapabilities(venue);
  return {
    client,
    refuse: async (kind: MarketKind, code: ErrorCode = 'upstream_auth_required') => {
      venue.answer = () => Promise.reject(new AppError(code, 'no'));
      await expect(client.fetch(requestFor(kind), OPTIONS)).rejects.toMatchObject({ code });
    },
    give: async (kind: MarketKind) => {
      venue.answer = (request) => Promise.resolve(venueAnswer(request, 0));
      await client.fetch(requestFor(kind), OPTIONS);
    },
    endFeed: (code: ErrorCode) => {
      client.watch(
        { channel: 'ticker', exchange, symbol: 'BTC/USD' },
        { onItem: () => undefined, onEnd: () => undefined },
      );
      sink?.onEnd(new AppError(code, 'no'));
    },
    capabilities: async () => (await client.describe(exchange)).capabilities,
  };
};

describe('what an exchange refuses without a key', () => {
  it('is told as missing, the rest as before', async () => {
    const { refuse, capabilities } = start();
    const before = await capabilities();
    await refuse('trades');
    expect(await capabilities()).toEqual({ ...before, trades: false });
  });

  it('is told again once it was given after all', async () => {
    const { refuse, give, capabilities } = start();
    await refuse('orderbook');
    expect((await capabilities()).orderbook).toBe(false);
    await give('orderbook');
    expect((await capabilities()).orderbook).toBe(true);
  });

  it('is about one symbol where the exchange gave others before', async () => {
    const { refuse, give, capabilities } = start();
    await give('ticker');
    await refuse('ticker');
    expect((await capabilities()).ticker).toBe(true);
  });

  it.each<ErrorCode>(['upstream_unavailable', 'upstream_geo_blocked', 'symbol_not_found'])(
    'is not what it refuses with %s',
    async (code) => {
      const { refuse, capabilities } = start();
      await refuse('trades', code);
      expect((await capabilities()).trades).toBe(true);
    },
  );

  it('makes tickers polled where it is the feed, and none where REST wants a key too', async () => {
    const { client, refuse, endFeed, capabilities } = start();
    endFeed('upstream_auth_required');
    expect((await capabilities()).stream).toBe('polling');
    expect((await client.describe(exchange)).watchable).toEqual([]);
    await refuse('ticker');
    expect((await capabilities()).stream).toBeNull();
  });

  it('is described with the same object until something else is known', async () => {
    const { client, refuse } = start();
    const first = await client.describe(exchange);
    expect(await client.describe(exchange)).toBe(first);
    await refuse('trades');
    const second = await client.describe(exchange);
    expect(second).not.toBe(first);
    await refuse('trades');
    expect(await client.describe(exchange)).toBe(second);
  });
});
