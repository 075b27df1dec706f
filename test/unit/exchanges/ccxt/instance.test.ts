// What an instance of CCXT's real classes is made with.
import { afterAll, describe, expect, it } from 'vitest';
import type { ExchangeOptions } from '../../../../src/config/config.js';
import type { CcxtExchange } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { createSocketAgents, NO_PROXIES } from '../../../../src/exchanges/ccxt/http/dispatcher.js';
import { createInstance } from '../../../../src/exchanges/ccxt/instance.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
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
});
