/** B8: the venue's send to the client's receipt. B9: event-loop delay of the main thread under its worst load. */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { Fanout, clientFrame, upgradeRequest, type FanoutOptions } from '../lib/fanout.js';
import { single, type Context, type Figure, type Row } from '../lib/figure.js';
import { readProbe, withProbe, type LoopDelay } from '../lib/loop-delay.js';
import { pause } from '../lib/processes.js';
import { get, startProduct, startVenues, type Running } from '../lib/product.js';
import { quantile, spread, type Spread } from '../lib/statistics.js';
import { FIRST_EVENT_S, QUERY } from './fanout.js';

/** Venue timestamps are whole milliseconds, cut: on average the true instant lies half a millisecond later. */
const TRUNCATION_MS = 0.5;
const SUBSCRIBERS = 100;
/** Long enough for V8 to have compiled what runs for every tick. */
const WARM_UP_MS = 10_000;
const SLICES = 5;

interface Receipts {
  /** Median delay in milliseconds from the venue's stamp to the receipt of an event, by slices of a second each. */
  readonly delay: Spread;
  readonly events: number;
}

const receipts = async (
  crowd: FanoutOptions,
  { settleMs, slices }: { settleMs: number; slices: number },
): Promise<Receipts> => {
  const fanout = await Fanout.start(crowd);
  try {
    await pause(settleMs);
    const before = await fanout.read();
    const medians: number[] = [];
    let { events } = before;
    // A smoke run shares the machine: its first event may take longer than its slice.
    for (let slice = 0; slice < slices || (medians.length === 0 && slice < FIRST_EVENT_S); slice++) {
      await pause(1000);
      const seen = await fanout.read();
      if (seen.events > events) medians.push(seen.delay_p50_us / 1000 - TRUNCATION_MS);
      events = seen.events;
    }
    return { delay: spread(medians), events: events - before.events };
  } finally {
    await fanout.stop();
  }
};

/** The same ticks straight from the venue: its timer's lateness and one socket, which are no doing of ours. */
const atTheVenue = (venues: Running): FanoutOptions => ({
  ...{ port: venues.port, clients: 1, request: upgradeRequest('/stream.binance.com/ws/bench') },
  second: clientFrame(JSON.stringify({ method: 'SUBSCRIBE', params: ['btcusdt@ticker'], id: 1 })),
  ...{ marker: '24hrTicker', stamp: '"E":' },
});

const delivery = async (context: Context): Promise<Row> => {
  context.progress("B8 venue's send to client's receipt");
  const venues = await startVenues({ ticks: 100 });
  const product = await startProduct(venues);
  const request = upgradeRequest(`/ws/ticker?${QUERY}`);
  const subscribers = { port: product.port, clients: SUBSCRIBERS, request, stamp: '"timestamp":' };
  try {
    const slices = context.smoke ? 1 : SLICES;
    const { delay: floor } = await receipts(atTheVenue(venues), { settleMs: 500, slices });
    const settleMs = context.smoke ? 500 : WARM_UP_MS;
    const { delay, events } = await receipts(subscribers, { settleMs, slices });
    return {
      ...{ id: 'B8', what: "venue's send to client's receipt, 100 clients, 100 events/s, p50", unit: 'ms' },
      ...{ product: delay, floor, figure: single(delay.median - floor.median), goal: 0.6, sense: 'at most' },
      ...{ counted: events, note: 'figure: product less floor, a client straight at the venue' },
    };
  } finally {
    await product.stop();
    await venues.stop();
  }
};

/** Together 5,000 messages a second, and some more for the ticks that a busy machine leaves out. */
const SYMBOLS_WATCHED = 110;
const TICKS_WATCHED = 50;

/** Milliseconds of one cached answer after the other, for `ms`. */
const cachedLatencies = async (product: Running, ms: number): Promise<number[]> => {
  const latencies: number[] = [];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const begin = performance.now();
    await get(`${product.url}/v1/markets?exchange=kraken&limit=1`);
    latencies.push(performance.now() - begin);
  }
  return latencies;
};

/** Frames that the simulated venues have sent over their sockets. */
const framesSent = async (venues: Running): Promise<number> => {
  const { body } = await get(`${venues.url}/_control/state`);
  return (JSON.parse(body.toString()) as { counters: { framesSent: number } }).counters.framesSent;
};

/** Kraken's ticks come in while Binance's markets load. */
const underLoad = async (
  context: Context,
  workers: string,
): Promise<{ delay: LoopDelay; incoming: number; delivered: number; cachedP99: number }> => {
  const file = join(mkdtempSync(join(tmpdir(), 'bench-probe-')), 'delay.json');
  const venues = await startVenues({ markets: context.smoke ? 150 : 3000, ticks: TICKS_WATCHED });
  const env = { ...withProbe(file), EXCHANGE_WORKERS: workers };
  const product = await startProduct(venues, env, '0,1');
  const socket = new WebSocket(`ws://127.0.0.1:${product.port}/ws`);
  try {
    await once(socket, 'open');
    const { body } = await get(`${product.url}/v1/markets?exchange=kraken&limit=1000&quote=USD`);
    const { markets } = JSON.parse(body.toString()) as { markets: { symbol: string }[] };
    const symbol = markets.slice(0, SYMBOLS_WATCHED).map((market) => market.symbol);
    const params = { channel: 'ticker', exchange: 'kraken', symbol, threshold: 0 };
    let delivered = 0;
    socket.on('message', () => delivered++);
    socket.send(JSON.stringify({ method: 'subscribe', params, req_id: 1 }));
    await pause(context.smoke ? 1000 : 3000);
    await readProbe(product, file);
    const sentBefore = await framesSent(venues);
    const begin = performance.now();
    delivered = 0;
    const loading = get(`${product.url}/v1/markets/ticker?exchange=binance&symbol=BTC/USDT`);
    const cachedMs = await cachedLatencies(product, context.smoke ? 500 : 3000);
    await loading;
    const seconds = (performance.now() - begin) / 1000;
    const incoming = ((await framesSent(venues)) - sentBefore) / seconds;
    const delay = await readProbe(product, file);
    return { delay, incoming, delivered: delivered / seconds, cachedP99: quantile(cachedMs, 0.99) };
  } finally {
    socket.terminate();
    await product.stop();
    await venues.stop();
  }
};

const loopDelay = async (context: Context): Promise<readonly Row[]> => {
  const rows: Row[] = [];
  for (const workers of context.smoke ? ['auto'] : ['auto', '0']) {
    context.progress(`B9 event-loop delay under load, EXCHANGE_WORKERS=${workers}`);
    const { delay, incoming, delivered, cachedP99 } = await underLoad(context, workers);
    rows.push({
      id: workers === '0' ? 'B9 contrast' : 'B9',
      what: `main thread's event-loop delay p99 while Binance's markets load, EXCHANGE_WORKERS=${workers}`,
      ...{ unit: 'ms', product: single(delay.p99), floor: null, figure: single(delay.p99) },
      ...{
        goal: workers === '0' ? Number.POSITIVE_INFINITY : 5,
        sense: 'at most',
        counted: Math.round(incoming),
      },
      note:
        `longest ${delay.max.toFixed(0)} ms; cached answers p99 ${cachedP99.toFixed(1)} ms; ` +
        `${incoming.toFixed(0)} venue messages/s came in, ${delivered.toFixed(0)} events/s went out`,
    });
  }
  return rows;
};

export const latency: Figure = {
  ids: ['B8', 'B9'],
  run: async (context) => [
    ...(context.wants('B8') ? [await delivery(context)] : []),
    ...(context.wants('B9') ? await loopDelay(context) : []),
  ],
};
