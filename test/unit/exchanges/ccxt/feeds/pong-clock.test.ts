/** CCXT's own connections under a wall clock that is set. */
import { expect, it, vi } from 'vitest';
import { createSocketAgents, NO_PROXIES } from '../../../../../src/exchanges/ccxt/http/dispatcher.js';
import { lastPongAt } from '../../../../../src/exchanges/ccxt/feeds/connections.js';
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
