// One odd row is not a broken venue: what is empty is data, what is nonsense concerns nobody else.
import { afterEach, describe, expect, it } from 'vitest';
import { reply, startFakeVenue, type Answer, type FakeVenue } from '../../support/fake-venue.js';
import { resilientClient, type FakeMarket, type VenueClient } from '../../support/venue-client.js';

const MINUTE = 60_000;
/** The minute that is open for as long as this file takes. */
const M = Math.floor(Date.now() / MINUTE) * MINUTE;
const started = performance.now();
const now = (): number => M + Math.min(Math.floor(performance.now() - started), MINUTE - 1);
const seconds = (at: number): number => at / 1000;

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});
const start = async (exchange: string, markets: readonly FakeMarket[], answer: Answer) => {
  venue = await startFakeVenue({ answer, now });
  client = resilientClient(exchange, venue, { markets, now });
  return { ...client, requests: venue.requests };
};

const COINBASE = [
  { id: 'MUSE-USD', symbol: 'MUSE/USD' },
  { id: 'BTC-USD', symbol: 'BTC/USD' },
];
const BINANCE = [
  { id: 'VENUSDT', symbol: 'VEN/USDT' },
  { id: 'BTCUSDT', symbol: 'BTC/USDT' },
];

describe('a market without trades', () => {
  it('has a ticker of nulls on Coinbase, whose object is untouched', async () => {
    const raw = { bid: '', ask: '', volume: '0' };
    const { ask, requests } = await start('coinbaseexchange', COINBASE, () => raw);
    const before = now();
    const answer = await ask({ kind: 'ticker', exchange: 'coinbaseexchange', symbol: 'MUSE/USD' });
    expect(answer).toMatchObject({ bid: null, ask: null, last: null, raw });
    expect(answer.timestamp).toBeGreaterThanOrEqual(before);
    expect(requests).toHaveLength(1);
  });

  it('has a ticker of nulls on Binance, which writes zeros, at the venue’s time', async () => {
    const zero = '0.00000000';
    const raw = {
      symbol: 'VENUSDT',
      lastPrice: zero,
      bidPrice: zero,
      askPrice: zero,
      openPrice: zero,
      volume: zero,
      closeTime: M,
      firstId: -1,
      count: 0,
    };
    const { ask } = await start('binance', BINANCE, () => raw);
    const answer = await ask({ kind: 'ticker', exchange: 'binance', symbol: 'VEN/USDT' });
    expect(answer).toMatchObject({ bid: null, ask: null, last: null, timestamp: M, raw });
  });

  it.each([
    ['binance', BINANCE, 'BTC/USDT', { lastUpdateId: 1, bids: [], asks: [] }],
    [
      'kraken',
      [{ id: 'XXBTZUSD', symbol: 'BTC/USD' }],
      'BTC/USD',
      { error: [], result: { XXBTZUSD: { bids: [], asks: [] } } },
    ],
    ['coinbaseexchange', COINBASE, 'BTC/USD', { sequence: 1, bids: [], asks: [] }],
    [
      'bybit',
      BINANCE,
      'BTC/USDT',
      { retCode: 0, retMsg: 'OK', result: { s: 'BTCUSDT', b: [], a: [], ts: M, u: 1 } },
    ],
    [
      'okx',
      [{ id: 'BTC-USDT', symbol: 'BTC/USDT' }],
      'BTC/USDT',
      { code: '0', msg: '', data: [{ asks: [], bids: [], ts: String(M) }] },
    ],
    ['bitfinex', [{ id: 'tBTCUSD', symbol: 'BTC/USD' }], 'BTC/USD', []],
  ] as const)('has an empty order book on %s', async (...[exchange, markets, symbol, body]) => {
    const { ask, requests } = await start(exchange, markets, () => body);
    expect(await ask({ kind: 'orderbook', exchange, symbol, limit: 10 })).toMatchObject({
      bids: [],
      asks: [],
    });
    expect(requests).toHaveLength(1);
  });
});

describe('an order book over REST', () => {
  it.each([
    ['locked', '42500.00', '42500.00'],
    ['crossed', '42501.00', '42500.00'],
  ])('that is %s is shown as the venue gives it, after one request', async (_, bid, ask) => {
    const time = new Date(M).toISOString();
    const book = { sequence: 1, bids: [[bid, '1', 1]], asks: [[ask, '2', 1]], time };
    const here = await start('coinbaseexchange', COINBASE, () => book);
    expect(
      await here.ask({ kind: 'orderbook', exchange: 'coinbaseexchange', symbol: 'BTC/USD', limit: 10 }),
    ).toMatchObject({
      bids: [{ price: Number(bid), amount: 1 }],
      asks: [{ price: Number(ask), amount: 2 }],
      timestamp: M,
    });
    expect(here.requests).toHaveLength(1);
  });
});

describe('an answer of another shape', () => {
  it.each([
    ['binance', BINANCE, 'BTC/USDT', []],
    ['binance', BINANCE, 'BTC/USDT', {}],
    ['bitfinex', [{ id: 'tBTCUSD', symbol: 'BTC/USD' }], 'BTC/USD', {}],
  ] as const)('is no empty order book on %s', async (...[exchange, markets, symbol, body]) => {
    const { refusal } = await start(exchange, markets, () => body);
    const error = await refusal({ kind: 'orderbook', exchange, symbol, limit: 10 });
    expect(error.code).toBe('upstream_bad_response');
  });

  it.each([
    ['ticker', { kind: 'ticker' }],
    ['order book', { kind: 'orderbook', limit: 10 }],
  ] as const)('for a %s is refused after one request, and other symbols go on', async (_, what) => {
    const { ask, refusal, requests } = await start('coinbaseexchange', COINBASE, ({ path }) =>
      path.includes('MUSE')
        ? { unexpected: true }
        : { price: '2', bid: '1', ask: '3', time: new Date(M).toISOString(), bids: [], asks: [] },
    );
    for (let i = 0; i < 12; i += 1) {
      const error = await refusal({ ...what, exchange: 'coinbaseexchange', symbol: 'MUSE/USD' });
      expect(error).toMatchObject({ code: 'upstream_bad_response', retryable: false });
    }
    expect(requests).toHaveLength(12);
    expect(await ask({ ...what, exchange: 'coinbaseexchange', symbol: 'BTC/USD' })).toMatchObject({
      symbol: 'BTC/USD',
    });
  });
});

describe('one row without prices', () => {
  it.each([
    [
      'nulls',
      'coinbaseexchange',
      COINBASE,
      'BTC/USD',
      [
        [seconds(M), 1, 2, 1, 2, 1],
        [seconds(M) - 60, null, null, null, null, 0],
        [seconds(M) - 120, 1, 2, 1, 2, 1],
      ],
    ],
    [
      'zeros',
      'binance',
      BINANCE,
      'BTC/USDT',
      [M - 120_000, M - 60_000, M].map((at) => {
        const price = at === M - 60_000 ? '0.00000000' : '1.0';
        return [at, price, price, price, price, '1.0', at + 59_999, '1', 1, '1', '1', '0'];
      }),
    ],
  ] as const)(
    'of %s in %s’s candles is a gap; the others are served',
    async (...[, exchange, markets, symbol, body]) => {
      const { ask } = await start(exchange, markets, () => body);
      const { candles, gaps } = await ask({ kind: 'ohlcv', exchange, symbol, interval: '1m', limit: 3 });
      expect(candles.map(({ timestamp }) => timestamp)).toEqual([M - 120_000, M]);
      expect(gaps).toMatchObject([{ from: M - 60_000, to: M }]);
    },
  );

  it('is left out of Binance’s trades', async () => {
    const row = (a: number, p: string, m: boolean) => ({ a, p, q: p, f: a, l: a, T: M + a, m });
    const body = [
      row(1, '2.0', false),
      { ...row(2, '0.00000000', false), f: -1, l: -1 },
      row(3, '2.0', true),
    ];
    const { ask } = await start('binance', BINANCE, () => body);
    const { trades } = await ask({ kind: 'trades', exchange: 'binance', symbol: 'BTC/USDT', limit: 10 });
    expect(trades).toMatchObject([
      { trade_id: '1', side: 'buy' },
      { trade_id: '3', side: 'sell' },
    ]);
  });
});

describe('a refusal within a 500', () => {
  const BITFINEX = [
    { id: 'tBADUSD', symbol: 'BAD/USD' },
    { id: 'tBTCUSD', symbol: 'BTC/USD' },
  ];
  it('is asked once, and the venue goes on for other symbols', async () => {
    const { ask, refusal, requests } = await start('bitfinex', BITFINEX, ({ path }) =>
      path.includes('BAD')
        ? reply({
            status: 500,
            body: ['error', 10020, path.includes('candles') ? 'limit: invalid' : 'symbol: invalid'],
          })
        : [[M, 1, 1, 2, 1, 3]],
    );
    const candles = { kind: 'ohlcv', exchange: 'bitfinex', interval: '1m', limit: 3 } as const;
    for (let i = 0; i < 12; i += 1)
      expect(await refusal({ ...candles, symbol: 'BAD/USD' })).toMatchObject({ code: 'upstream_error' });
    expect(requests).toHaveLength(12);
    expect((await ask({ ...candles, symbol: 'BTC/USD' })).candles).toHaveLength(1);
    expect(await refusal({ kind: 'ticker', exchange: 'bitfinex', symbol: 'BAD/USD' })).toMatchObject({
      code: 'symbol_not_found',
    });
  });

  it('is an outage where the server says that it has failed', async () => {
    const { refusal, requests } = await start('bitfinex', BITFINEX, () =>
      reply({ status: 500, body: ['error', 10999, 'internal error: invalid state'] }),
    );
    const error = await refusal({ kind: 'ticker', exchange: 'bitfinex', symbol: 'BTC/USD' });
    expect([error.code, requests.length]).toEqual(['upstream_unavailable', 4]);
  });
});

describe('a 200 that is not JSON', () => {
  const PAGE = '<!DOCTYPE html><html><body>Just a moment…</body></html>';
  const TICKER = { bid: '1', ask: '2', price: '1.5', time: '2026-01-01T00:00:00Z', volume: '1' };

  it('is asked for again: a page of what stands before the venue is gone in a moment, whatever was asked', async () => {
    let pages = 2;
    const answer: Answer = () =>
      (pages -= 1) >= 0 ? reply({ body: PAGE, headers: { 'content-type': 'text/html' } }) : TICKER;
    const { ask, requests } = await start('coinbaseexchange', COINBASE, answer);
    const request = { kind: 'ticker', exchange: 'coinbaseexchange', symbol: 'BTC/USD' } as const;
    expect(await ask(request)).toMatchObject({ last: 1.5 });
    expect(requests).toHaveLength(3);
  });
});
