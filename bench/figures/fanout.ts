/** B4, B5, B6: CPU of one delivered stream event, against the same bytes written to raw TCP sockets and @fastify/sse. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { abba } from '../lib/abba.js';
import {
  Fanout,
  clientFrame,
  serverFrame,
  sseRequest,
  upgradeRequest,
  type FanoutOptions,
} from '../lib/fanout.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { cpuMicros, pause, startChild, untilListens } from '../lib/processes.js';
import { freePort } from '../../test/support/free-port.js';
import { startProduct, startVenues, untilMetric, type Running } from '../lib/product.js';

const scratch = mkdtempSync(join(tmpdir(), 'bench-tcp-'));
const floorScript = (name: string): string => fileURLToPath(new URL(`../floors/${name}.js`, import.meta.url));

/** Events a second and symbol: about half a core on either side, so that idle costs weigh little and nothing queues. */
export const TICKS = 40;
export const QUERY = 'exchange=binance&symbol=BTC/USDT&threshold=0';

/** One event as the product sends it, with its true length. */
const EVENT =
  '{"event_type":"ticker","exchange":"binance","symbol":"BTC/USDT","bid":42500.01,"ask":42510.02,"last":42505.03,' +
  '"timestamp":1699000000000,"price_change_percent":0.000123456789,"sandbox":true}';

const startTcpFloor = async (bytes: Buffer, writes = 1): Promise<Running> => {
  const port = await freePort();
  const file = join(scratch, `${port}.event`);
  writeFileSync(file, bytes);
  const argv = [floorScript('tcp-floor'), String(port), file, String(TICKS), String(writes)];
  const child = startChild([process.execPath, ...argv], { core: 0 });
  await untilListens(port);
  return { ...child, port, url: `http://127.0.0.1:${port}` };
};

const startSsePlugin = async (): Promise<Running> => {
  const port = await freePort();
  const file = join(scratch, `${port}.event`);
  writeFileSync(file, EVENT);
  const argv = [floorScript('fastify-sse'), String(port), file, String(TICKS)];
  const child = startChild([process.execPath, ...argv], { core: 0 });
  await untilListens(port);
  return { ...child, port, url: `http://127.0.0.1:${port}` };
};

/** Longest wait for the first event of a slice, in seconds. */
export const FIRST_EVENT_S = 20;

export interface Delivery {
  events: number;
  /** Share of one core that the reading client used: far below 1, or it would be the bottleneck. */
  clientLoad: number;
}

/** Connects, waits for `settle` ms, and measures microseconds of the server's CPU per delivered event for `seconds`. */
export const perEvent = async (
  server: Running,
  clients: FanoutOptions,
  { seconds, tally, settle = 1000 }: { seconds: number; tally: Delivery; settle?: number },
): Promise<number> => {
  const fanout = await Fanout.start(clients);
  try {
    await pause(settle);
    const before = await fanout.read();
    const cpu = cpuMicros(server.pid);
    await pause(seconds * 1000);
    let after = await fanout.read();
    // A smoke run shares the machine: its first event may take longer than its slice.
    for (let wait = 0; after.events === before.events && wait < FIRST_EVENT_S; wait++) {
      await pause(1000);
      after = await fanout.read();
    }
    const used = cpuMicros(server.pid) - cpu;
    const events = after.events - before.events;
    if (events === 0) throw new Error(`no event reached the ${clients.clients} clients`);
    if (after.open < clients.clients)
      throw new Error(`only ${after.open} of ${clients.clients} clients stayed`);
    tally.events += events;
    tally.clientLoad = Math.max(tally.clientLoad, (after.cpu_us - before.cpu_us) / (seconds * 1e6));
    return used / events;
  } finally {
    await fanout.stop();
  }
};

/** V8 compiles what runs for every tick for some twenty seconds; a server that serves for days has that behind it. */
const WARM_UP_S = 20;

const warmUp = async (context: Context, product: Running): Promise<void> => {
  context.progress('fan-out: warming up');
  const tally: Delivery = { events: 0, clientLoad: 0 };
  const request = upgradeRequest('/ws');
  const clients = { port: product.port, clients: 200, request, second: subscribeMany(SYMBOLS) };
  await perEvent(product, clients, { seconds: WARM_UP_S, tally });
};

/** Feeds outlive their clients by STREAM_LINGER: until then their ticks would be counted among the next ones' costs. */
const untilFeedsEnd = (product: Running): Promise<void> =>
  untilMetric(product, /^crypto_data_stream_topics /, (topics) => topics === 0);

interface Case {
  readonly id: string;
  readonly what: string;
  readonly goal: number;
  readonly clients: number;
  /** What raw TCP writes; without it the floor is @fastify/sse. */
  readonly floorBytes?: Buffer;
  readonly floorWrites?: number;
  readonly connect: Pick<FanoutOptions, 'request' | 'second'>;
}

const SYMBOLS = Array.from({ length: 16 }, (_, i) => `SYN${String(i + 1).padStart(5, '0')}/USDT`);

const subscribeMany = (symbols: readonly string[]): Buffer =>
  clientFrame(
    JSON.stringify({
      method: 'subscribe',
      params: { channel: 'ticker', exchange: 'binance', symbol: symbols, threshold: 0 },
      req_id: 1,
    }),
  );

const measure = async (
  context: Context,
  test: Case,
  sides: { product: Running; floor: Running },
): Promise<Row> => {
  context.progress(`${test.id} ${test.what}`);
  const tally: Delivery = { events: 0, clientLoad: 0 };
  const seconds = context.smoke ? 1 : 2;
  const clients = context.smoke ? Math.min(50, test.clients) : test.clients;
  const slice = (server: Running, options: Pick<FanoutOptions, 'request' | 'second'>) => () =>
    perEvent(
      server,
      { port: server.port, clients, ...options },
      { seconds, tally, settle: context.smoke ? 100 : 700 },
    );
  const { ratio, product, floor, control } = await abba(context.smoke ? 0 : 3, {
    floor: slice(sides.floor, test.floorBytes ? {} : { request: sseRequest('/events') }),
    product: slice(sides.product, test.connect),
  });
  return {
    ...{ id: test.id, what: test.what, unit: 'µs CPU/event', goal: test.goal, sense: 'at most' },
    ...{ product, floor, figure: ratio, control: control.median, counted: tally.events },
    note: `reading client at ${(tally.clientLoad * 100).toFixed(0)} % of its core`,
  };
};

const withFloor = async (context: Context, product: Running, test: Case): Promise<Row> => {
  const { floorBytes, floorWrites } = test;
  const floor = floorBytes ? await startTcpFloor(floorBytes, floorWrites) : await startSsePlugin();
  try {
    return await measure(context, test, { product, floor });
  } finally {
    await floor.stop();
  }
};

const sseChunk = Buffer.from(`id: 1699000000000-1000\ndata: ${EVENT}\n\n`);

/** B5 goes first, on the feeds that the warm-up opened. */
const CASES: readonly Case[] = [
  {
    ...{
      id: 'B5',
      what: 'WebSocket, 16 symbols that tick together to each of 200 clients',
      goal: 0.18,
      clients: 200,
    },
    floorBytes: serverFrame(EVENT),
    floorWrites: 16,
    connect: { request: upgradeRequest('/ws'), second: subscribeMany(SYMBOLS) },
  },
  {
    ...{ id: 'B4', what: 'WebSocket, one symbol to 1000 clients', goal: 1.15, clients: 1000 },
    floorBytes: serverFrame(EVENT),
    connect: { request: upgradeRequest(`/ws/ticker?${QUERY}`) },
  },
  {
    ...{ id: 'B6', what: 'SSE, one symbol to 1000 clients', goal: 1.15, clients: 1000 },
    floorBytes: sseChunk,
    connect: { request: sseRequest(`/v1/stream/ticker?${QUERY}`) },
  },
  {
    ...{ id: 'B6', what: 'SSE, one symbol to 1000 clients, to @fastify/sse', goal: 0.6, clients: 1000 },
    connect: { request: sseRequest(`/v1/stream/ticker?${QUERY}`) },
  },
];

export const fanout: Figure = {
  ids: [...new Set(CASES.map(({ id }) => id))],
  run: async (context) => {
    const venues = await startVenues({ ticks: TICKS, markets: 60, inStep: true });
    const product = await startProduct(venues);
    try {
      const rows: Row[] = [];
      if (!context.smoke) await warmUp(context, product);
      for (const test of CASES) {
        if (!context.wants(test.id)) continue;
        if (!context.smoke && test.id === 'B4') await untilFeedsEnd(product);
        rows.push(await withFloor(context, product, test));
      }
      return rows;
    } finally {
      await product.stop();
      await venues.stop();
    }
  },
};
