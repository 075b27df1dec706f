// What CCXT does to a server that trusts it (docs/ccxt.md): each of these fails without its guard.
import { afterEach, describe, expect, it } from 'vitest';
import type { CcxtExchange } from '../../../src/exchanges/ccxt/ccxt-exchange.js';
import { loadExchangeClass } from '../../../src/exchanges/ccxt/loader.js';
import type { OpenWatch } from '../../../src/exchanges/ccxt/feeds/venue-watch.js';
import type { MarketRequest } from '../../../src/exchanges/exchange-client.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { startVenues, symbolOf, VENUES, type VenueName, type Venues } from './venue-fixture.js';

const KINDS = ['ticker', 'ohlcv', 'orderbook', 'trades'] as const;
const TIMEOUT = { upstreamTimeoutMs: 300 };

let venues: Venues | undefined;
afterEach(async () => {
  await venues?.close();
  venues = undefined;
});
const start = async (...options: Parameters<typeof startVenues>): Promise<Venues> => {
  venues = await startVenues(...options);
  return venues;
};

const requestFor = (exchange: VenueName, kind: (typeof KINDS)[number]): MarketRequest => ({
  exchange,
  symbol: symbolOf(exchange),
  kind,
  limit: 10,
  interval: '1m',
});

const warm = async ({ venues }: Venues, exchange: VenueName): Promise<void> => {
  await venues.markets(exchange, { deadline: Infinity, priority: 'caller' });
};

describe('0.1 a body that never ends', () => {
  it.each([
    ['stalls', { type: 'stall' }, 'upstream_timeout'],
    ['is reset', { type: 'reset', at: 'body' }, 'upstream_unavailable'],
    ['is gzip cut short', { type: 'gzip_cut' }, 'upstream_bad_response'],
    ['is shorter than it says', { type: 'wrong_length' }, 'upstream_unavailable'],
    ['never starts', { type: 'hang' }, 'upstream_timeout'],
  ] as const)('%s: the call settles in its own time, and the next one is well', async (_, fault, code) => {
    const { sandbox, refusal, ask, ...rest } = await start(TIMEOUT);
    await warm({ sandbox, refusal, ask, ...rest }, 'binance');
    sandbox.control.setFault({ match: 'ticker', fault, times: 1 });
    const started = performance.now();
    const error = await refusal(requestFor('binance', 'ticker'));
    expect(error).toMatchObject({ name: 'AppError', code });
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(await ask(requestFor('binance', 'ticker'))).toMatchObject({ symbol: 'BTC/USDT' });
  });

  it('an abort ends the request at once', async () => {
    const { sandbox, refusal, soon, ...rest } = await start();
    await warm({ sandbox, refusal, soon, ...rest }, 'binance');
    sandbox.control.setFault({ match: 'ticker', fault: { type: 'hang' }, times: 1 });
    const controller = new AbortController();
    const failed = refusal(requestFor('binance', 'ticker'), { ...soon(), signal: controller.signal });
    setImmediate(() => controller.abort());
    expect(await failed).toMatchObject({ code: 'upstream_timeout' });
  });
});

describe('0.3 a failed load of markets', () => {
  it.each(VENUES)('%s: fails its own callers only; the next ones load again', async (exchange) => {
    const { sandbox, refusal, ask, requests, venues } = await start();
    sandbox.control.setFault({
      venue: exchange,
      match: 'markets',
      fault: { type: 'status', status: 500 },
      times: 1,
    });
    const errors = await Promise.all([
      refusal(requestFor(exchange, 'ticker')),
      refusal(requestFor(exchange, 'trades')),
    ]);
    expect(errors.map(({ code }) => code)).toEqual(['upstream_unavailable', 'upstream_unavailable']);
    expect(requests().filter(({ kind }) => kind === 'markets')).toHaveLength(1);
    expect(venues.health().find((health) => health.exchange === exchange)).toMatchObject({
      markets: 'load_failed',
      lastError: { code: 'upstream_unavailable', detail: expect.stringMatching(/^HTTP 500/) },
    });
    expect(await ask(requestFor(exchange, 'ticker'))).toMatchObject({ exchange });
    expect(venues.health().find((health) => health.exchange === exchange)).toMatchObject({
      markets: 'loaded',
      lastError: null,
    });
  });

  it('a list of markets that is no list is a bad response, not an exchange without markets', async () => {
    const { sandbox, refusal } = await start();
    sandbox.control.setFault({ match: 'markets', fault: { type: 'odd_json', body: { symbols: [] } } });
    expect(await refusal(requestFor('binance', 'ticker'))).toMatchObject({ code: 'upstream_bad_response' });
  });

  it('100 callers of a cold venue load its markets once', async () => {
    const { ask, requests } = await start();
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(requestFor('binance', KINDS[index % 4] ?? 'ticker'))),
    );
    expect(requests().filter(({ kind }) => kind === 'markets')).toHaveLength(1);
  });
});

describe('0.4 a 200 that is not what it claims to be', () => {
  const FAULTS = [
    { type: 'truncate' },
    { type: 'html' },
    { type: 'empty' },
    { type: 'gzip_cut' },
    { type: 'odd_json', body: {} },
    { type: 'odd_json', body: [] },
    { type: 'odd_json', body: { error: [], result: {} } },
    { type: 'odd_json', body: 'just text' },
    { type: 'odd_json', body: { unexpected: true } },
    { type: 'odd_json', body: [['a', null], 'text', {}] },
  ] as const;
  it.each(VENUES)('%s: is a bad response, whatever was asked', async (exchange) => {
    const here = await start();
    const { sandbox, refusal } = here;
    await warm(here, exchange);
    const outcomes: string[] = [];
    for (const kind of KINDS) {
      for (const fault of FAULTS) {
        // A list without entries is a market without trades, as far as anyone can tell.
        const body = 'body' in fault ? fault.body : undefined;
        const emptyList = Array.isArray(body) && body.length === 0;
        if (emptyList && exchange !== 'kraken' && (kind === 'trades' || kind === 'ohlcv')) continue;
        sandbox.control.clearFaults();
        sandbox.control.setFault({ match: kind, fault });
        const outcome = await refusal(requestFor(exchange, kind)).then(
          ({ code }) => code,
          () => 'taken for an answer',
        );
        outcomes.push(`${kind} ${JSON.stringify(fault)}: ${outcome}`);
      }
    }
    expect(outcomes.filter((line) => !line.endsWith(': upstream_bad_response'))).toEqual([]);
  });

  it('messages carry neither the body nor the URL', async () => {
    const here = await start();
    await warm(here, 'binance');
    const body = `{"code":-1000,"msg":"${'secret '.repeat(1000)}"}`;
    here.sandbox.control.setFault({ match: 'ticker', fault: { type: 'status', status: 400, body } });
    const error = await here.refusal(requestFor('binance', 'ticker'));
    expect(error.code).toBe('upstream_error');
    expect(error.message).not.toMatch(/secret|http/);
    expect(error.message.length).toBeLessThan(100);
    expect((error.cause as Error).message.length).toBeLessThan(500);
  });
});

describe('0.5 symbols that are names of other things', () => {
  const HOSTILE = [
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'valueOf',
    'NOPEUSDT',
    '',
    'A'.repeat(1_000_000),
  ];
  it.each(VENUES)('%s: none of them reaches the venue', async (exchange) => {
    const here = await start();
    await warm(here, exchange);
    const before = here.requests().length;
    for (const symbol of HOSTILE) {
      for (const kind of KINDS) {
        const error = await here.refusal({ ...requestFor(exchange, kind), symbol });
        expect(error).toMatchObject({ code: 'symbol_not_found', status: 400 });
        expect(error.message.length).toBeLessThanOrEqual(500);
      }
    }
    expect(here.requests().length).toBe(before);
  });

  it.each(['constructor', '__proto__', 'toString', '', '7m', '1mm', '999999d'])(
    'an interval like %j is refused with those that the exchange has',
    async (interval) => {
      const here = await start();
      const error = await here.refusal({ ...requestFor('kraken', 'ohlcv'), interval } as MarketRequest);
      expect(error).toMatchObject({ code: 'interval_not_supported' });
      expect(error.message).toContain('1m, 5m, 15m, 30m, 1h, 4h, 1d, 1w, 2w');
      expect(here.requests()).toHaveLength(0);
    },
  );

  it.each(['constructor', '__proto__', 'toString', 'okx'])(
    'an exchange like %j is not enabled',
    async (exchange) => {
      const here = await start();
      const request = { kind: 'ticker', exchange, symbol: 'BTC/USD' } as const;
      expect(await here.refusal(request)).toMatchObject({ code: 'exchange_not_enabled' });
      await expect(here.venues.describe(exchange)).rejects.toMatchObject({ code: 'exchange_not_enabled' });
      await expect(loadExchangeClass(`no-${exchange}`)).rejects.toMatchObject({ code: 'unknown_exchange' });
    },
  );
});

describe('0.2 frames that wait for a socket which is gone', () => {
  it('reject nobody: the process lives', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): unknown => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const instances: CcxtExchange[] = [];
    const openWatch: OpenWatch = (instance, topic) => {
      instances.push(instance);
      // Several subscriptions at once wait their turn in the throttle of the socket.
      for (const symbol of [topic.symbol, 'ETH/USD', 'SOL/USD', 'XRP/USD', 'DOGE/USD'])
        instance.watchTicker(symbol).catch(() => undefined);
      return { close: () => undefined };
    };
    // A frame a second, as CCXT has it for Kraken.
    const exchangeOptions = { kraken: { rateLimit: 400, options: { ws: { cost: 1 } } } };
    const here = await start({ openWatch, exchangeOptions, monotonic: steadyNow });
    const sink = { onItem: () => undefined, onEnd: () => undefined };
    here.venues.watch({ channel: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' }, sink);
    const opened = () => here.sandbox.control.listSockets().length;
    await expect.poll(opened, { timeout: 10_000 }).toBeGreaterThan(0);
    await instances[0]?.close();
    // Long enough for the frames that wait to have had their turn.
    await expect.poll(opened, { timeout: 10_000 }).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});

describe('0.10 numbers', () => {
  // Coinbase's book needs keys or watch.ts' way around them: test/e2e/feeds has it.
  it.each(['binance', 'kraken'] as const)(
    '%s: live books hold numbers and no deleted level',
    async (exchange) => {
      const books: unknown[] = [];
      const openWatch: OpenWatch = (instance, topic) => {
        const loop = async (): Promise<void> => {
          for (let turn = 0; turn < 10; turn += 1) {
            const book = (await instance.watchOrderBook(topic.symbol)) as {
              bids: unknown[][];
              asks: unknown[][];
            };
            books.push(...book.bids.slice(0, 10), ...book.asks.slice(0, 10));
          }
        };
        loop().catch(() => undefined);
        return { close: () => undefined };
      };
      const here = await start({ openWatch }, { now: Date.now, ticksPerSecond: 20 });
      const sink = { onItem: () => undefined, onEnd: () => undefined };
      here.venues.watch({ channel: 'orderbook', exchange, symbol: symbolOf(exchange) }, sink);
      await expect.poll(() => books.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(150);
      for (const level of books as number[][]) {
        expect(typeof level[0]).toBe('number');
        expect(level[1]).toBeGreaterThan(0);
      }
    },
  );
});
