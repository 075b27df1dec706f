/**
 * C1: CPU of a delivered event where four servers share one upstream feed. C2: what a follower adds to the owner's latency.
 * C3: CPU that an item costs the owner beyond feeding itself, Redis, and a follower.
 */
import { once } from 'node:events';
import WebSocket from 'ws';
import { freePort } from '../../test/support/free-port.js';
import { abba } from '../lib/abba.js';
import { Fanout, upgradeRequest } from '../lib/fanout.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { cpuMicros, pause, startChild, untilListens, type Child } from '../lib/processes.js';
import { get, startProduct, startVenues, untilMetric, type Running } from '../lib/product.js';
import { spread, type Spread } from '../lib/statistics.js';
import { FIRST_EVENT_S, perEvent, QUERY, type Delivery } from './fanout.js';

const SERVERS = 4;
const CLIENTS = 2_500;
/** Four times 2,500 clients get 50,000 events a second together, about half a core of either side. */
const TICKS_TO_MANY = 5;
/** For V8 to have compiled what runs for every item. */
const WARM_UP_MS = 10_000;

interface Cluster {
  readonly redis: Child;
  /** The first to be asked for a topic owns it. */
  readonly servers: readonly Running[];
  stop(): Promise<void>;
}

const startCluster = async (venues: Running, count: number): Promise<Cluster> => {
  const port = await freePort();
  const redis = startChild(
    ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    { core: 1 },
  );
  await untilListens(port);
  const servers: Running[] = [];
  const stop = async (): Promise<void> => {
    for (const child of [...servers, redis]) await child.stop();
  };
  try {
    for (let i = 1; i <= count; i += 1)
      servers.push(
        await startProduct(venues, {
          ...{ REDIS_ENABLED: 'true', REDIS_URL: `redis://127.0.0.1:${port}/0`, SERVER_ID: `bench${i}` },
        }),
      );
    for (const server of servers)
      await untilMetric(server, /^crypto_data_bus_servers /, (seen) => seen === count);
  } catch (error) {
    await stop();
    throw error;
  }
  return { redis, servers, stop };
};

const deliveries = async (context: Context): Promise<Row> => {
  const [count, clients] = context.smoke ? [2, 50] : [SERVERS, CLIENTS];
  const what = `ticker, ${count} servers with one upstream × ${clients} WebSocket clients, to one server`;
  context.progress(`C1 ${what}`);
  const venues = await startVenues({ ticks: TICKS_TO_MANY });
  const alone = await startProduct(venues);
  const cluster = await startCluster(venues, count);
  const tally: Delivery = { events: 0, clientLoad: 0 };
  const slice = { seconds: context.smoke ? 1 : 4, tally, settle: context.smoke ? 100 : 1_500 };
  const request = upgradeRequest(`/ws/ticker?${QUERY}`);
  const cost = (server: Running): Promise<number> =>
    perEvent(server, { port: server.port, clients, request }, slice);
  try {
    const sides = {
      floor: () => cost(alone),
      // Each delivers as much as the others: their mean is that of all events.
      product: async () => {
        const costs = await Promise.all(cluster.servers.map(cost));
        return costs.reduce((sum, each) => sum + each, 0) / costs.length;
      },
    };
    if (!context.smoke) {
      await sides.floor();
      await sides.product();
    }
    const { ratio: figure, control, product, floor } = await abba(context.smoke ? 0 : 3, sides);
    return {
      ...{ id: 'C1', what, unit: 'µs CPU/event', goal: 1.1, sense: 'at most', product, floor, figure },
      ...{ control: control.median, counted: tally.events },
      note: `a server's reading client at ${(tally.clientLoad * 100).toFixed(0)} % of a core`,
    };
  } finally {
    await cluster.stop();
    await alone.stop();
    await venues.stop();
  }
};

/** Of each reader the median delay, in ms, of each slice in which events came. */
const delaysOf = async (
  readers: readonly Fanout[],
  slices: number,
): Promise<{ rows: number[][]; events: number }> => {
  const rows: number[][] = [];
  let before = await Promise.all(readers.map((reader) => reader.read()));
  const first = before.reduce((sum, { events }) => sum + events, 0);
  for (let slice = 0; slice < slices || (rows.length === 0 && slice < FIRST_EVENT_S); slice += 1) {
    await pause(1_000);
    const now = await Promise.all(readers.map((reader) => reader.read()));
    if (now.every(({ events }, at) => events > (before[at]?.events ?? 0)))
      rows.push(now.map(({ delay_p50_us: micros }) => micros / 1_000));
    before = now;
  }
  return { rows, events: before.reduce((sum, { events }) => sum + events, 0) - first };
};

const latency = async (context: Context): Promise<Row> => {
  context.progress("C2 a follower's latency over the owner's");
  const venues = await startVenues({ ticks: 100 });
  const cluster = await startCluster(venues, 2);
  const readers: Fanout[] = [];
  const request = upgradeRequest(`/ws/ticker?${QUERY}`);
  try {
    for (const { port } of cluster.servers) {
      readers.push(await Fanout.start({ port, clients: 1, request, stamp: '"timestamp":' }));
      await pause(2_000);
    }
    await pause(context.smoke ? 500 : WARM_UP_MS);
    const { rows, events } = await delaysOf(readers, context.smoke ? 1 : 10);
    const of = (delay: (row: readonly number[]) => number): Spread => spread(rows.map(delay));
    return {
      ...{ id: 'C2', what: "a follower's latency over the owner's, 100 events/s, p50", unit: 'ms' },
      ...{ product: of(([, follower = NaN]) => follower), floor: of(([owner = NaN]) => owner) },
      figure: of(([owner = NaN, follower = NaN]) => follower - owner),
      ...{ goal: 1, sense: 'at most', counted: events },
      note: 'figure: follower less owner, each from the venue’s stamp, in the same seconds',
    };
  } finally {
    for (const reader of readers) await reader.stop();
    await cluster.stop();
    await venues.stop();
  }
};

const SYMBOLS = Array.from({ length: 16 }, (_, i) => `SYN${String(i + 1).padStart(5, '0')}/USDT`);

const follow = async ({ port }: Running): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  await once(socket, 'open');
  const params = { channel: 'ticker', exchange: 'binance', symbol: SYMBOLS, threshold: 0 };
  socket.send(JSON.stringify({ method: 'subscribe', params, req_id: 1 }));
  await once(socket, 'message');
  return socket;
};

const published = async ({ url }: Running): Promise<number> =>
  Number(/^crypto_data_bus_published_total (\S+)/m.exec((await get(`${url}/metrics`)).body.toString())?.[1]);

const items = async (context: Context): Promise<readonly Row[]> => {
  context.progress('C3 CPU of an item: owner, Redis, follower');
  const venues = await startVenues({ ticks: 50, markets: 60 });
  const alone = await startProduct(venues);
  const cluster = await startCluster(venues, 2);
  const [owner, follower] = cluster.servers as [Running, Running];
  const sockets: WebSocket[] = [];
  try {
    for (const server of [alone, owner, follower]) {
      sockets.push(await follow(server));
      await pause(2_000);
    }
    await untilMetric(owner, /^crypto_data_bus_leases_held /, (held) => held === SYMBOLS.length);
    await untilMetric(follower, /^crypto_data_bus_followed_topics /, (held) => held === SYMBOLS.length);
    await pause(context.smoke ? 500 : WARM_UP_MS);
    const costs = { owner: [] as number[], redis: [] as number[], follower: [] as number[] };
    const all = [alone, owner, follower, cluster.redis];
    let [counted, seconds] = [0, 0];
    for (let slice = 0; slice < (context.smoke ? 1 : 8); slice += 1) {
      const [from, at] = [await published(owner), performance.now()];
      const before = all.map(({ pid }) => cpuMicros(pid));
      await pause(2_000);
      const used = all.map(({ pid }, place) => cpuMicros(pid) - (before[place] ?? 0));
      const events = (await published(owner)) - from;
      const [ofAlone = NaN, ofOwner = NaN, ofFollower = NaN, ofRedis = NaN] = used.map((us) => us / events);
      costs.owner.push(ofOwner - ofAlone);
      costs.redis.push(ofRedis);
      costs.follower.push(ofFollower);
      counted += events;
      seconds += (performance.now() - at) / 1_000;
    }
    const note = `${(counted / seconds).toFixed(0)} items/s of ${SYMBOLS.length} topics, one client a server`;
    const row = (what: string, values: readonly number[], goal: number): Row => ({
      ...{ id: 'C3', what: `CPU of a shared item: ${what}`, unit: 'µs CPU/item', goal, sense: 'at most' },
      ...{ product: spread(values), floor: null, figure: spread(values), counted, note },
    });
    return [
      row('the owner, beyond a server that shares nothing', costs.owner, 40),
      row('Redis', costs.redis, 25),
      row('a follower', costs.follower, 25),
    ];
  } finally {
    for (const socket of sockets) socket.terminate();
    await cluster.stop();
    await alone.stop();
    await venues.stop();
  }
};

export const cluster: Figure = {
  ids: ['C1', 'C2', 'C3'],
  run: async (context) => [
    ...(context.wants('C1') ? [await deliveries(context)] : []),
    ...(context.wants('C2') ? [await latency(context)] : []),
    ...(context.wants('C3') ? await items(context) : []),
  ],
};
