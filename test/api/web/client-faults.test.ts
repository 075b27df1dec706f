// Clients behind networks and servers that fail in all ways at once: what each was told, against the venue's own list.
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { IterableStream } from '../../../web/client/event-iterator.js';
import { createRest } from '../../../web/client/rest.js';
import type { TopicState } from '../../../web/client/topic.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { startSandboxApp, type SandboxApp } from '../../support/sandbox-app.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';

const TOPIC = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } as const;
/** The sandbox's, of this market. */
const TRADES_PER_SECOND = 10;
/** As a server closes a socket with 1013. */
const TRY_AGAIN = Buffer.from([0x88, 0x02, 0x03, 0xf5]);
const OVERLOADED = Buffer.from('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n');

const WITHOUT_REST = 'the server leaves out messages, and REST is out of reach';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Told {
  readonly id: number;
  readonly price: number | null;
  readonly amount: number | null;
}

const startClient = async (port: number, restFails = false) => {
  const proxy = await startTcpProxy(port);
  ends.push(() => proxy.close());
  const url = `http://127.0.0.1:${proxy.port}`;
  const fails = () => Promise.reject(new Error('no way to REST'));
  const rest = createRest({ url, fetch: restFails ? fails : fetch, random: () => 0.1 });
  /** So many events with trades are swallowed. */
  const leave = { out: 0 };
  class LossySocket extends WebSocket {
    override emit(name: string, ...args: unknown[]): boolean {
      const isLeftOut = name === 'message' && leave.out > 0 && String(args[0]).includes('"trades"');
      if (isLeftOut) leave.out -= 1;
      return isLeftOut || super.emit(name, ...args);
    }
  }
  const stream = new IterableStream({
    ...{ url, rest, WebSocket: LossySocket, pingIntervalMs: 500 },
    random: () => 0,
    now: () => performance.now(),
  });
  ends.push(() => stream.close());
  const trades: Told[] = [];
  const states: TopicState[] = [];
  stream.subscribe(TOPIC, {
    onEvent: (event) => {
      if (event.event_type !== 'trades') return;
      for (const { trade_id, price, amount } of event.trades)
        trades.push({ id: Number(trade_id), price, amount });
    },
    onState: (state) => states.push(state),
  });
  const now = () => states.at(-1)!;
  const becomes = (state: string) => expect.poll(() => now().state, { interval: 10 }).toBe(state);
  const comeBack = async (): Promise<void> => {
    await becomes('live');
    const before = trades.length;
    await expect.poll(() => trades.length, { interval: 10 }).toBeGreaterThan(before + TRADES_PER_SECOND / 2);
  };
  return { proxy, trades, leave, now, becomes, comeBack };
};
type FaultyClient = Awaited<ReturnType<typeof startClient>>;

/** The next bytes of the server are those. */
const replaceNext = (proxy: TcpProxy, bytes: Buffer): void => {
  proxy.tamper = () => {
    proxy.tamper = null;
    return bytes;
  };
};

const leaveOut = async ({ trades, leave }: FaultyClient): Promise<void> => {
  const before = trades.length;
  leave.out = 5;
  await expect.poll(() => trades.length, { interval: 10 }).toBeGreaterThan(before);
};

const FAULTS: Readonly<Record<string, (client: FaultyClient) => Promise<void>>> = {
  'a proxy cuts connections after any number of bytes': async ({ proxy, now, becomes }) => {
    const lengths = [90, 333, 1777, 5003, 260];
    proxy.cutAfter = () => lengths.shift() ?? Infinity;
    replaceNext(proxy, TRY_AGAIN.subarray(0, 1));
    await becomes('disconnected');
    await expect.poll(() => [lengths.length, now().state], { interval: 20 }).toEqual([0, 'live']);
  },
  'the network is silent': async ({ proxy, becomes }) => {
    proxy.isCut = true;
    await becomes('disconnected');
    proxy.isCut = false;
  },
  'the server closes with 1013': async ({ proxy, becomes }) => {
    replaceNext(proxy, TRY_AGAIN);
    await becomes('disconnected');
  },
  'the server refuses openings with 503': async ({ proxy, becomes }) => {
    let refusals = 0;
    proxy.tamper = () => {
      refusals += 1;
      if (refusals > 3) proxy.tamper = null;
      return OVERLOADED;
    };
    await becomes('disconnected');
    await expect.poll(() => refusals, { interval: 20 }).toBeGreaterThan(2);
  },
  'the server leaves out messages': leaveOut,
  'the network is slow': () => Promise.resolve(),
};

const truthOf = ({ market }: Sandbox, { from, to }: Readonly<Record<'from' | 'to', number>>): Told[] =>
  market
    .trades('binance', 'BTC/USDT', { from, to })
    .map(({ id, price, amount }) => ({ id: Number(id), price, amount }));

test('no trade is lost, repeated or out of its turn, and where some cannot be had, the client says how many', async () => {
  const sandbox = await startSandbox({ weightLimit: Infinity });
  ends.push(() => sandbox.close());
  const server: SandboxApp = await startSandboxApp(sandbox, { ENABLED_EXCHANGES: 'binance' });
  ends.push(() => server.app.close());
  const from = Date.now() - 60_000;
  const endure = async (name: string, commit: (client: FaultyClient) => Promise<void>) => {
    const client = await startClient(server.port, name === WITHOUT_REST);
    client.proxy.delayMs = name === 'the network is slow' ? 250 : 0;
    await client.comeBack();
    await commit(client);
    await client.comeBack();
    return { name, told: client.trades, missed: client.now().missed };
  };
  const [without, ...others] = await Promise.all(
    [[WITHOUT_REST, leaveOut] as const, ...Object.entries(FAULTS)].map(([name, commit]) =>
      endure(name, commit),
    ),
  );

  const truth = truthOf(sandbox, { from, to: Date.now() });
  for (const { name, told, missed } of others) {
    const [first, last] = [told[0]!.id, told.at(-1)!.id];
    expect(told, name).toEqual(truth.filter(({ id }) => id >= first && id <= last));
    expect(told.length, name).toBeGreaterThan(TRADES_PER_SECOND);
    expect(missed, name).toBe(0);
  }
  const ids = without!.told.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  expect(without!.missed).toBeGreaterThan(0);
  expect(without!.missed).toBe(ids.at(-1)! - ids[0]! + 1 - ids.length);
});
