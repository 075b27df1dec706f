// What an instance of CCXT's real classes is made with.
import { afterAll, describe, expect, it } from 'vitest';
import type { ExchangeOptions } from '../../../../src/config/config.js';
import type { CcxtExchange } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { createSocketAgents } from '../../../../src/exchanges/ccxt/feeds/connections.js';
import { NO_PROXIES } from '../../../../src/exchanges/ccxt/http/transport.js';
import { createInstance, rateOf, toSandboxUrls } from '../../../../src/exchanges/ccxt/instance.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { venueQuirks } from '../../../../src/exchanges/venues/venue-quirks.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';

const agents = createSocketAgents(NO_PROXIES);
afterAll(() => agents.close());

const urls: string[] = [];
const instanceOf = async (exchange: string, options?: ExchangeOptions): Promise<CcxtExchange> => {
  const { ccxt } = createInstance(await loadExchangeClass(exchange), {
    exchange,
    transport: (url) => {
      urls.push(url);
      return Promise.reject(new Error('nobody answers'));
    },
    gate: createUpstreamGate({ budget: { requests: 10, windowMs: 60_000 }, now: Date.now }),
    socketAgents: agents,
    options,
    sandboxUrl: null,
    userAgent: 'test/1',
    now: Date.now,
    monotonic: Date.now,
  });
  return ccxt;
};

describe('an instance', () => {
  it('asks at the hostname that the settings name', async () => {
    const ccxt = await instanceOf('bybit', { hostname: 'venue.example' });
    await expect(ccxt.loadMarkets()).rejects.toThrow();
    expect(urls.length).toBeGreaterThan(0);
    expect(urls.every((url) => new URL(url).host === 'api.venue.example')).toBe(true);
  });

  it('pings each of its connections every ten seconds', async () => {
    const ccxt = await instanceOf('binance');
    expect(ccxt.client('wss://feeds.test/ws')).toMatchObject({ keepAlive: 10_000 });
  });

  it('sends twenty frames a second to Kraken: a subscription does not wait for the second before it', async () => {
    const { options } = await instanceOf('kraken');
    expect(options['ws']).toMatchObject({ cost: 0.05 });
  });

  it('saves up a twentieth of the window in which the venue counts, and sends no more in any window than evenly', async () => {
    for (const [exchange, capacity] of [
      ['binance', 60],
      ['bybit', 12],
      ['kucoin', 200],
      ['bitget', 1],
      ['kraken', 1],
      ['okx', 1],
      ['coinex', 1],
      ['coinbaseexchange', 1],
    ] as const) {
      const ccxt = await instanceOf(exchange);
      const rate = rateOf(ccxt, venueQuirks(exchange));
      expect(rate.capacity, exchange).toBe(capacity);
      if (capacity === 1) expect(rate.unitMs, exchange).toBe(ccxt.rateLimit);
      else {
        const { rollingWindowSize } = ccxt;
        const most = rate.capacity + rollingWindowSize / rate.unitMs;
        expect(most, exchange).toBeLessThanOrEqual(rollingWindowSize / ccxt.rateLimit);
      }
    }
  });

  it('spaces requests as the settings ask', async () => {
    const ccxt = await instanceOf('binance', { rateLimit: 3_000 });
    expect(rateOf(ccxt, venueQuirks('binance'))).toEqual({ unitMs: 3_000, capacity: 1 });
    expect(rateOf({ ...ccxt, rateLimit: 0 }, venueQuirks('binance'))).toEqual({ unitMs: 0, capacity: 1 });
  });
});

describe('the sandbox’s URLs', () => {
  it('keep host and path behind the sandbox’s own, and leave everything else', () => {
    const urls = {
      logo: 'https://example.com/x.png',
      api: {
        public: 'https://api.binance.com/api/v3',
        ws: { spot: 'wss://stream.binance.com:9443/ws', plain: 'ws://x.test' },
        hosts: ['https://api.{hostname}/v1', 'no url', 7],
      },
      none: undefined,
    };
    expect(toSandboxUrls(urls, 'http://127.0.0.1:9')).toEqual({
      logo: 'http://127.0.0.1:9/example.com/x.png',
      api: {
        public: 'http://127.0.0.1:9/api.binance.com/api/v3',
        ws: { spot: 'ws://127.0.0.1:9/stream.binance.com:9443/ws', plain: 'ws://127.0.0.1:9/x.test' },
        hosts: ['http://127.0.0.1:9/api.{hostname}/v1', 'no url', 7],
      },
      none: undefined,
    });
    expect(toSandboxUrls({ ws: 'wss://a.b/c' }, 'https://box:1')).toEqual({ ws: 'wss://box:1/a.b/c' });
  });
});
