/** CCXT's WebSocket connections: proxies, dialling, and pongs under a wall clock that is set. */
import { HttpsProxyAgent } from 'https-proxy-agent';
import { describe, expect, it, vi } from 'vitest';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import {
  createSocketAgents,
  forgetDials,
  lastPongAt,
  paceDials,
} from '../../../../../src/exchanges/ccxt/feeds/connections.js';
import { NO_PROXIES } from '../../../../../src/exchanges/ccxt/http/transport.js';
import { createInstance } from '../../../../../src/exchanges/ccxt/instance.js';
import { loadExchangeClass } from '../../../../../src/exchanges/ccxt/loader.js';

const HOUR_MS = 3_600_000;
const KEEP_ALIVE_MS = 10_000;

/** CCXT takes Date.now as it is loaded. */
const wall = vi.hoisted(() => {
  const clock = { at: 1_700_000_000_000 };
  Date.now = () => clock.at;
  return clock;
});

const unused = (): never => {
  throw new Error('Nobody is asked over REST.');
};

/** An open connection of CCXT whose pings and end are counted. */
const connect = async () => {
  const clock = { at: 5_000 };
  const agents = createSocketAgents(NO_PROXIES);
  const { ccxt } = createInstance(await loadExchangeClass('binance'), {
    exchange: 'binance',
    transport: unused,
    gate: { admit: unused, report: unused, state: unused, states: unused } as never,
    socketAgents: agents,
    options: undefined,
    sandboxUrl: null,
    userAgent: 'test',
    now: Date.now,
    monotonic: () => clock.at,
  });
  const counts = { pings: 0, ends: 0 };
  const client = ccxt.client('wss://feeds.test/ws') as unknown as {
    onPingInterval(): void;
    onPong(): void;
    onOpen(): void;
  } & Record<string, unknown>;
  Object.assign(client, {
    isOpen: () => true,
    ping: () => void (counts.pings += 1),
    connection: { ping: () => undefined },
    onError: () => void (counts.ends += 1),
    close: () => undefined,
  });
  return {
    client,
    counts,
    pass: (ms: number) => {
      clock.at += ms;
      wall.at += ms;
      client.onPingInterval();
    },
    agents,
    clock,
  };
};

it('a connection counts as alive from the moment that it is open', async () => {
  const { client, agents, clock } = await connect();
  expect(lastPongAt(client)).toBeUndefined();
  Object.assign(client, { setPingInterval: () => undefined });
  client.onOpen();
  expect(lastPongAt(client)).toBe(clock.at);
  agents.close();
});

it.each([HOUR_MS, -HOUR_MS])(
  'a connection that answers its pings outlives a wall clock that is set by %i ms',
  async (by) => {
    const { client, counts, pass, agents, clock } = await connect();
    pass(KEEP_ALIVE_MS);
    client.onPong();
    wall.at += by;
    for (let ping = 0; ping < 3; ping += 1) {
      pass(KEEP_ALIVE_MS);
      client.onPong();
    }
    expect(counts).toEqual({ pings: 4, ends: 0 });
    expect(lastPongAt(client)).toBe(clock.at);
    agents.close();
  },
);

it.each([0, HOUR_MS, -HOUR_MS])(
  'a dead connection is cut at the third ping after its last answer, the wall clock set by %i ms or not',
  async (by) => {
    const { client, counts, pass, agents } = await connect();
    pass(KEEP_ALIVE_MS);
    client.onPong();
    wall.at += by;
    for (let ping = 1; ping <= 2; ping += 1) pass(KEEP_ALIVE_MS);
    expect(counts.ends).toBe(0);
    pass(KEEP_ALIVE_MS);
    expect(counts.ends).toBe(1);
    agents.close();
  },
);

const delayOf = (instance: CcxtExchange, url: string): number => {
  const calculate: unknown = Reflect.get(instance, 'calculateWsBackoffDelay');
  if (typeof calculate !== 'function') throw new Error('CCXT has no such method any more.');
  return Number(Reflect.apply(calculate, instance, [url]));
};

it('an address that never sends anything is dialled ever less often although each URL has a token of its own', async () => {
  const kucoin = new (await loadExchangeClass('kucoin'))({});
  paceDials(kucoin);
  const delays = Array.from({ length: 8 }, (_, n) =>
    delayOf(kucoin, `wss://ws-api.test/endpoint?token=${n}&x=1`),
  );
  expect(delays[0]).toBe(0);
  expect(delays[1]).toBeGreaterThanOrEqual(200);
  expect(delays[1]).toBeLessThanOrEqual(300);
  expect(delays.at(-1)).toBe(5_000);
  // The next instance of the venue goes on with the same count, and data ends it.
  const successor = new (await loadExchangeClass('kucoin'))({});
  paceDials(successor);
  expect(delayOf(successor, 'wss://ws-api.test/endpoint?token=new')).toBe(5_000);
  forgetDials(['wss://ws-api.test/endpoint?token=other']);
  expect(delayOf(successor, 'wss://ws-api.test/endpoint?token=third')).toBe(0);
});

it('a back-off of the exchange’s own options goes before, and leaves what it does not name', async () => {
  const own = new (await loadExchangeClass('kucoin'))({
    options: { ws: { backoff: { base: 20, max: 100 } } },
  });
  paceDials(own);
  const delays = Array.from({ length: 8 }, () => delayOf(own, 'wss://own-backoff.test/endpoint'));
  expect(delays[1]).toBeLessThanOrEqual(24);
  expect(delays[2]).toBeGreaterThan(24);
  expect(delays.at(-1)).toBe(100);
});

describe('agents of WebSocket connections', () => {
  const proxy = {
    https: 'http://proxy:1',
    http: 'http://proxy:2',
    no: 'localhost, .internal.test,exact.test:9443',
  };

  it('go through the proxy of their kind', () => {
    const agents = createSocketAgents(proxy);
    const secure = agents.forUrl('wss://ws.kraken.com/v2');
    expect(secure).toBeInstanceOf(HttpsProxyAgent);
    expect(agents.forUrl('wss://other.test')).toBe(secure);
    expect((agents.forUrl('ws://ws.kraken.com') as HttpsProxyAgent<string>).proxy.port).toBe('2');
    agents.close();
  });

  it.each([
    ['wss://localhost/x', true],
    ['wss://a.internal.test', true],
    ['wss://internal.test', true],
    ['wss://notinternal.test', false],
    ['wss://exact.test:9443', true],
    ['wss://exact.test', false],
  ])('%s avoids it: %s', (url, exempt) => {
    const agents = createSocketAgents(proxy);
    expect(agents.forUrl(url) === undefined).toBe(exempt);
    expect(createSocketAgents({ ...proxy, no: '*' }).forUrl(url)).toBeUndefined();
  });

  it('are plain ones without a proxy, since CCXT dials no ws:// without', () => {
    const agents = createSocketAgents(NO_PROXIES);
    expect(agents.forUrl('wss://ws.kraken.com')).toBeUndefined();
    expect(agents.forUrl('ws://127.0.0.1:1')).toBe(agents.forUrl('ws://127.0.0.1:2'));
    expect(agents.forUrl('ws://127.0.0.1:1')).toBeDefined();
    agents.close();
  });
});
