// Every exchange that CCXT has can be enabled: what is known of it without asking anybody, and that nothing throws.
import { afterAll, describe, expect, it } from 'vitest';
import { CHANNELS } from '../../../../src/schemas/stream.js';
import { createCcxtClient } from '../../../../src/exchanges/ccxt/ccxt-client.js';
import type { CcxtExchange } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { createSocketAgents } from '../../../../src/exchanges/ccxt/feeds/connections.js';
import { NO_PROXIES } from '../../../../src/exchanges/ccxt/http/transport.js';
import { createInstance } from '../../../../src/exchanges/ccxt/instance.js';
import { listExchangeIds, loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import { parseInterval } from '../../../../src/lib/intervals.js';
import { silentLog } from '../../../../src/log/log.js';

const IDS = listExchangeIds();
const BUDGET = { requests: 10, windowMs: 60_000 };
const BOX = 'http://127.0.0.1:9';

const unusedTransport = () => Promise.reject(new Error('nothing may be asked'));
const clientOf = (sandboxUrl: string | null) =>
  createCcxtClient({
    exchanges: IDS,
    exchangeOptions: {},
    budget: BUDGET,
    upstreamTimeoutMs: 1000,
    proxy: NO_PROXIES,
    sandboxUrl,
    userAgent: 'test/1',
    log: silentLog,
  });
const client = clientOf(null);
afterAll(() => client.close());

/** As CCXT declares it, on an instance that nobody touched. */
const plain = async (id: string): Promise<CcxtExchange> => new (await loadExchangeClass(id))({});

/** What is not served all the same (docs/limits-and-venues.md). */
const NOT_SERVED: Readonly<Record<string, string>> = {
  hyperliquid: 'fetchTrades',
  ...Object.fromEntries(
    ['bithumb', 'bitopro', 'bitrue', 'cex', 'hashkey', 'lbank', 'luno', 'nado', 'pacifica'].map((id) => [
      id,
      'watchTrades',
    ]),
  ),
};

const METHODS = {
  ticker: ['fetchTicker', 'watchTicker'],
  trades: ['fetchTrades', 'watchTrades'],
  orderbook: ['fetchOrderBook', 'watchOrderBook'],
  ohlcv: ['fetchOHLCV', 'watchOHLCV'],
} as const;

it('knows more than a hundred', () => {
  expect(IDS.length).toBeGreaterThan(100);
});

describe.each(IDS)('%s', (id) => {
  it('tells its capabilities as CCXT declares them, but for what is not served, with intervals where it has candles', async () => {
    const { has: declared, timeframes = {}, name } = await plain(id);
    const has = { ...declared, [NOT_SERVED[id] ?? '']: false };
    const told = await client.describe(id);
    expect(told).toMatchObject({ exchange: id, name });
    for (const kind of CHANNELS) {
      const [fetch, watch] = METHODS[kind];
      const offered = has[fetch] === true || (kind === 'ticker' && has[fetch] === 'emulated');
      expect(told.capabilities[kind], fetch).toBe(offered);
      expect(told.watchable.includes(kind), watch).toBe(has[watch] === true);
    }
    const { ticker, ohlcv, stream } = told.capabilities;
    expect(stream).toBe(has['watchTicker'] === true ? 'websocket' : ticker ? 'polling' : null);
    const hasCandles = ohlcv || told.watchable.includes('ohlcv');
    expect(told.intervals.length > 0).toBe(hasCandles);
    expect(told.intervals.every((text) => Object.hasOwn(timeframes, text))).toBe(true);
    if (hasCandles)
      expect(told.intervals).toHaveLength(
        Object.keys(timeframes).filter((text) => parseInterval(text) !== undefined).length,
      );
  });

  it('can be made ready with our settings, at its own addresses and at the sandbox’s, sockets included', async () => {
    const Exchange = await loadExchangeClass(id);
    const agents = createSocketAgents(NO_PROXIES);
    const gate = createUpstreamGate({ budget: BUDGET, now: Date.now });
    for (const sandboxUrl of [null, BOX]) {
      const instance = createInstance(Exchange, {
        exchange: id,
        transport: unusedTransport,
        gate,
        socketAgents: agents,
        options: undefined,
        sandboxUrl,
        userAgent: 'test/1',
        now: Date.now,
        monotonic: Date.now,
      });
      const { ccxt } = instance;
      expect(ccxt.rateLimit).toBeGreaterThan(0);
      if (ccxt.pro === true) expect(ccxt.client('wss://feeds.test/ws').hardened).toBe(true);
      if (sandboxUrl !== null) expect(JSON.stringify(ccxt.urls)).toContain(BOX);
      await instance.close();
    }
    agents.close();
  });
});
