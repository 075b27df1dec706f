import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { OpenWatch } from '../../../src/exchanges/ccxt/feeds/venue-watch.js';
import { loadFromPackage } from '../../../src/exchanges/ccxt/loader.js';
import type { AppError } from '../../../src/errors.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { startVenues, symbolOf, VENUES } from './venue-fixture.js';

describe('any exchange of CCXT', () => {
  it('is described by configuration alone, without a request', async () => {
    const here = await startVenues({ exchanges: ['okx', 'bitstamp', 'hyperliquid', 'kraken'] });
    expect(await here.venues.describe('okx')).toMatchObject({
      exchange: 'okx',
      name: 'OKX',
      capabilities: { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: 'websocket' },
    });
    const bitstamp = await here.venues.describe('bitstamp');
    expect(bitstamp.capabilities).toMatchObject({ ticker: true, stream: 'polling' });
    expect(bitstamp.watchable).not.toContain('ticker');
    expect(bitstamp.intervals.slice(0, 3)).toEqual(['1m', '3m', '5m']);
    expect((await here.venues.describe('hyperliquid')).capabilities.ticker).toBe(true);
    expect((await here.venues.describe('kraken')).intervals).toEqual([
      '1m',
      '5m',
      '15m',
      '30m',
      '1h',
      '4h',
      '1d',
      '1w',
      '2w',
    ]);
    expect(here.requests()).toHaveLength(0);
    await here.close();
  });

  it('fails cleanly where it can not be reached, and with what it does not offer before that', async () => {
    const here = await startVenues({
      exchanges: ['okx', 'bitstamp'],
      upstreamTimeoutMs: 500,
      monotonic: steadyNow,
    });
    for (const exchange of ['okx', 'bitstamp']) {
      const how = { deadline: steadyNow() + 20_000, priority: 'caller' } as const;
      const error = await here.refusal({ kind: 'ticker', exchange, symbol: 'BTC/USDT' }, how);
      expect(error).toMatchObject({ name: 'AppError', upstream: { exchange } });
      expect(error.code).toMatch(/^upstream_/);
    }
    const ended = new Promise<AppError | null>((resolve) => {
      here.venues.watch(
        { channel: 'ohlcv', exchange: 'bitstamp', symbol: 'BTC/USD', interval: '1m' },
        { onItem: () => undefined, onEnd: resolve },
      );
    });
    expect(await ended).toMatchObject({ code: 'not_supported_by_exchange' });
    await here.close();
  });

  it('works from the whole package where the single modules are not to be found', async () => {
    const here = await startVenues({ loadClass: loadFromPackage });
    expect(await here.ask({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' })).toMatchObject({
      exchange: 'kraken',
    });
    await here.close();
  });

  it('a class that can not be loaded fails its callers, not those after them', async () => {
    let attempts = 0;
    const here = await startVenues({
      loadClass: (id) => {
        attempts += 1;
        return attempts === 1 ? Promise.reject(new Error('disk full')) : loadFromPackage(id);
      },
    });
    await expect(here.venues.describe('kraken')).rejects.toMatchObject({ code: 'internal_error' });
    expect(await here.venues.describe('kraken')).toMatchObject({ name: 'Kraken' });
    await here.close();
  });
});

describe('the settings of an exchange', () => {
  it('reach CCXT: user agent, host name and options', async () => {
    const here = await startVenues({
      exchangeOptions: {
        kraken: { rateLimit: 0, userAgent: 'somebody/2' },
        binance: { rateLimit: 0, options: { fetchMarkets: { types: ['linear'] } } },
      },
    });
    await here.ask({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' });
    expect(here.requests().every(({ userAgent }) => userAgent === 'somebody/2')).toBe(true);
    await here.refusal({ kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' });
    expect(here.requests().at(-1)?.path ?? '').not.toContain('/api/v3/exchangeInfo');
    await here.close();
  });
});

describe('a proxy of the environment', () => {
  it('carries the requests, except to hosts that need none', async () => {
    const seen: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket) => {
      seen.push(request.url ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as { port: number };
    const url = `http://127.0.0.1:${port}`;
    const here = await startVenues({
      sandboxUrl: null,
      proxy: { https: url, http: url, no: 'localhost' },
      upstreamTimeoutMs: 2000,
    });
    const error = await here.refusal({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' });
    expect(error.code).toMatch(/^upstream_(unavailable|timeout)$/);
    expect(seen).toEqual(['api.kraken.com:443']);
    await here.close();
    proxy.close();
  });
});

describe('deadlines', () => {
  it('a caller whose time is up is refused without a request', async () => {
    const here = await startVenues();
    await here.ask({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' });
    const sent = here.requests().length;
    const request = { kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' } as const;
    const error = await here.refusal(request, { deadline: here.now(), priority: 'caller' });
    expect(['upstream_timeout', 'upstream_budget_exhausted']).toContain(error.code);
    expect(here.requests()).toHaveLength(sent);
    await here.close();
  });

  it('callers that would wait too long for their turn are refused at once, and told how long', async () => {
    // The pace needs a clock that moves.
    const exchangeOptions = { kraken: { rateLimit: 5000 } };
    const here = await startVenues({ exchangeOptions, monotonic: steadyNow });
    await here.venues.markets('kraken', { deadline: Infinity, priority: 'caller' });
    const request = { kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' } as const;
    const error = await here.refusal(request, { deadline: steadyNow() + 1000, priority: 'caller' });
    expect(error).toMatchObject({ code: 'upstream_budget_exhausted', upstream: { exchange: 'kraken' } });
    expect(error.retryAfterMs).toBeGreaterThan(1000);
    await here.close();
  }, 60_000);
});

describe('feeds', () => {
  it.each(VENUES)(
    '%s: gets its instance with markets, and the symbol as the venue spells it',
    async (exchange) => {
      const opened: { symbol: string; known: boolean }[] = [];
      const openWatch: OpenWatch = (instance, topic, ...[sink, deps]) => {
        opened.push({ symbol: topic.symbol, known: Object.hasOwn(instance.markets ?? {}, topic.symbol) });
        deps.discardInstance();
        deps.discardInstance();
        return { close: () => sink.onEnd(null) };
      };
      const here = await startVenues({ openWatch });
      const ends: (AppError | null)[] = [];
      const sink = { onItem: () => undefined, onEnd: (error: AppError | null) => void ends.push(error) };
      const symbol = symbolOf(exchange);
      const watch = () =>
        here.venues.watch({ channel: 'ticker', exchange, symbol: symbol.toLowerCase() }, sink);
      const first = watch();
      await expect.poll(() => opened.length, { timeout: 10_000 }).toBe(1);
      watch();
      await expect.poll(() => opened.length, { timeout: 10_000 }).toBe(2);
      expect(opened).toEqual([
        { symbol, known: true },
        { symbol, known: true },
      ]);
      first.close();
      first.close();
      expect(ends).toEqual([null]);
      await here.close();
    },
  );

  it('closed before they are open never open, and end once', async () => {
    let closed = 0;
    const openWatch: OpenWatch = () => ({ close: () => (closed += 1) });
    const here = await startVenues({ openWatch });
    const ends: (AppError | null)[] = [];
    const sink = { onItem: () => undefined, onEnd: (error: AppError | null) => void ends.push(error) };
    here.venues.watch({ channel: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' }, sink).close();
    await expect.poll(() => closed, { timeout: 10_000 }).toBe(1);
    expect(ends).toEqual([null]);
    await here.close();
  });

  it.each([
    ['an unknown symbol', { channel: 'ticker', exchange: 'kraken', symbol: 'NO/SUCH' }, 'symbol_not_found'],
    [
      'an unknown interval',
      { channel: 'ohlcv', exchange: 'kraken', symbol: 'BTC/USD', interval: '7m' },
      'interval_not_supported',
    ],
    [
      'candles of Coinbase',
      { channel: 'ohlcv', exchange: 'coinbaseexchange', symbol: 'BTC/USD', interval: '1m' },
      'not_supported_by_exchange',
    ],
    [
      'an exchange that is not enabled',
      { channel: 'ticker', exchange: 'constructor', symbol: 'BTC/USD' },
      'exchange_not_enabled',
    ],
  ] as const)('of %s end with their reason', async (_, topic, code) => {
    const here = await startVenues();
    const ended = new Promise<AppError | null>((resolve) => {
      here.venues.watch(topic, { onItem: () => undefined, onEnd: resolve });
    });
    expect(await ended).toMatchObject({ code });
    await here.close();
  });
});
