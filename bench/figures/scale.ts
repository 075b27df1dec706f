/**
 * B14: what scale costs. The same cached answer among few and many keys, the same fan-out among few and many topics;
 * and, for docs/scale.svg, how CPU and memory grow with keys, topics and clients.
 */
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { upgradeRequest } from '../lib/fanout.js';
import { single, type Context, type Figure, type Row } from '../lib/figure.js';
import { pause, residentBytes } from '../lib/processes.js';
import { get, startProduct, startVenues, type Running } from '../lib/product.js';
import { quantile } from '../lib/statistics.js';
import { chart, type Panel } from '../lib/svg.js';
import { wrkSlice } from '../lib/wrk.js';
import { QUERY, TICKS, perEvent, type Delivery } from './fanout.js';

type Point = readonly [x: number, y: number];
interface Curve {
  readonly cost: readonly Point[];
  readonly megabytes: readonly Point[];
}

const scratch = mkdtempSync(join(tmpdir(), 'bench-scale-'));
const UNPACED = {
  RATE_LIMIT_REQUESTS: '1000000',
  EXCHANGE_OPTIONS: JSON.stringify({ binance: { rateLimit: 1 } }),
};
const FILLERS = 8;
const SINCE = 1_750_000_020_000;

/** Keys that differ in `since`: one closed candle each, fresh for five minutes. */
const keyPath = (index: number): string =>
  `/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&interval=1m&limit=1&since=${SINCE + index * 60_000}`;

const fill = async (product: Running, from: number, to: number): Promise<void> => {
  let next = from;
  const worker = async (): Promise<void> => {
    while (next < to) await get(`${product.url}${keyPath(next++)}`);
  };
  await Promise.all(Array.from({ length: FILLERS }, worker));
};

/** A wrk script that asks for the first `count` keys in turn. */
const keyScript = (count: number): string => {
  const file = join(scratch, `keys-${count}.lua`);
  writeFileSync(
    file,
    `local i = 0\nrequest = function()\n  i = (i + 1) % ${count}\n` +
      `  return wrk.format("GET", string.format("${keyPath(0).replace(String(SINCE), '%d')}", ${SINCE} + i * 60000))\nend\n`,
  );
  return file;
};

const keys = async (context: Context, counts: readonly number[]): Promise<Curve> => {
  const venues = await startVenues();
  const product = await startProduct(venues, { ...UNPACED, OHLCV_CACHE_TTL: '600' });
  const cost: Point[] = [];
  const megabytes: Point[] = [];
  try {
    let filled = 0;
    for (const count of counts) {
      context.progress(`B14 ${count} keys`);
      await fill(product, filled, count);
      filled = count;
      const slices: number[] = [];
      for (let i = 0; i < (context.smoke ? 1 : 4); i++) {
        const { perCpuSecond } = await wrkSlice(product, product.url, {
          seconds: 1,
          script: keyScript(count),
        });
        slices.push(1e6 / perCpuSecond);
      }
      cost.push([count, quantile(slices, 0.5)]);
      megabytes.push([count, residentBytes(product.pid) / 1e6]);
    }
    return { cost, megabytes };
  } finally {
    await product.stop();
    await venues.stop();
  }
};

const SUBSCRIPTIONS_A_SOCKET = 100;

/** Opens topics on top of BTC/USDT; their venue symbols tick once in a thousand seconds. */
const openTopics = async (product: Running, symbols: readonly string[]): Promise<WebSocket[]> => {
  const sockets: WebSocket[] = [];
  for (let from = 0; from < symbols.length; from += SUBSCRIPTIONS_A_SOCKET) {
    const socket = new WebSocket(`ws://127.0.0.1:${product.port}/ws`);
    sockets.push(socket);
    await once(socket, 'open');
    const symbol = symbols.slice(from, from + SUBSCRIPTIONS_A_SOCKET);
    const params = { channel: 'ticker', exchange: 'binance', symbol };
    const answered = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer) => {
        if (data.includes('"method":"subscribe"')) resolve();
      });
    });
    socket.send(JSON.stringify({ method: 'subscribe', params, req_id: 1 }));
    await answered;
  }
  return sockets;
};

const setQuiet = async (venues: Running): Promise<void> => {
  const ticks = [{ perSecond: 0.001 }, { venue: 'binance', symbol: 'BTC/USDT', perSecond: TICKS }];
  for (const body of ticks) {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
    const response = await fetch(`${venues.url}/_control/ticks`, init);
    if (!response.ok) throw new Error(`the sandbox refused a tick rate: ${response.status}`);
  }
};

const topics = async (context: Context, counts: readonly number[]): Promise<Curve> => {
  const venues = await startVenues({ markets: Math.max(...counts) + 50, ticks: TICKS });
  await setQuiet(venues);
  const product = await startProduct(venues, UNPACED);
  const cost: Point[] = [];
  const megabytes: Point[] = [];
  const sockets: WebSocket[] = [];
  try {
    const symbols: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body } = await get(
        `${product.url}/v1/markets?exchange=binance&limit=1000${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      const page = JSON.parse(body.toString()) as {
        markets: { symbol: string }[];
        next_cursor: string | null;
      };
      symbols.push(...page.markets.map((market) => market.symbol).filter((symbol) => symbol !== 'BTC/USDT'));
      cursor = page.next_cursor;
    }
    let opened = 0;
    for (const count of counts) {
      context.progress(`B14 ${count} topics`);
      sockets.push(...(await openTopics(product, symbols.slice(opened, count))));
      opened = count;
      const tally: Delivery = { events: 0, clientLoad: 0 };
      const clients = { port: product.port, clients: 500, request: upgradeRequest(`/ws/ticker?${QUERY}`) };
      cost.push([count, await perEvent(product, clients, { seconds: context.smoke ? 1 : 4, tally })]);
      megabytes.push([count, residentBytes(product.pid) / 1e6]);
    }
    return { cost, megabytes };
  } finally {
    for (const socket of sockets) socket.terminate();
    await product.stop();
    await venues.stop();
  }
};

const clients = async (context: Context, counts: readonly number[]): Promise<Curve> => {
  const venues = await startVenues({ ticks: 10 });
  const product = await startProduct(venues);
  const cost: Point[] = [];
  const megabytes: Point[] = [];
  try {
    for (const count of counts) {
      context.progress(`B14 ${count} clients`);
      const tally: Delivery = { events: 0, clientLoad: 0 };
      const crowd = { port: product.port, clients: count, request: upgradeRequest(`/ws/ticker?${QUERY}`) };
      const measured = perEvent(product, crowd, { seconds: context.smoke ? 1 : 3, tally });
      cost.push([count, await measured]);
      megabytes.push([count, residentBytes(product.pid) / 1e6]);
      await pause(200);
    }
    return { cost, megabytes };
  } finally {
    await product.stop();
    await venues.stop();
  }
};

const panels = (name: string, costLabel: string, curve: Curve): Panel[] => [
  { title: `CPU by ${name}`, xLabel: name, yLabel: costLabel, points: curve.cost },
  { title: `Resident memory by ${name}`, xLabel: name, yLabel: 'MB', points: curve.megabytes },
];

const growth = (what: string, { cost, counted }: { cost: readonly Point[]; counted: number }): Row => {
  const [first, last] = [cost[0] ?? [1, Number.NaN], cost.at(-1) ?? [1, Number.NaN]];
  return {
    ...{ id: 'B14', what: `cost of scale: ${what}, ${first[0]} to ${last[0]}`, unit: 'µs CPU', goal: 1.1 },
    ...{
      sense: 'at most',
      product: single(last[1]),
      floor: single(first[1]),
      figure: single(last[1] / first[1]),
    },
    counted,
  };
};

export const scale: Figure = {
  ids: ['B14'],
  run: async (context) => {
    const many = context.smoke ? [10, 100] : [10, 100, 1000, 10_000];
    const byKeys = await keys(context, many);
    const byTopics = await topics(context, context.smoke ? [10, 50] : [10, 100, 1000]);
    const byClients = await clients(context, context.smoke ? [10] : [10, 100, 1000, 5000]);
    if (!context.smoke) {
      const drawing = chart([
        ...panels('keys', 'µs an answer', byKeys),
        ...panels('topics', 'µs an event', byTopics),
        ...panels('clients', 'µs an event', byClients),
      ]);
      writeFileSync(new URL('../../docs/scale.svg', import.meta.url), drawing);
    }
    return [
      growth('cached answers by keys', { cost: byKeys.cost, counted: many.length }),
      growth('WebSocket fan-out by topics', { cost: byTopics.cost, counted: byTopics.cost.length }),
    ];
  },
};
