/** How CPU and memory grow: the same work among ever more keys, topics, clients and exchanges. */
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { upgradeRequest } from '../lib/fanout.js';
import type { Context } from '../lib/figure.js';
import { pause, residentBytes } from '../lib/processes.js';
import { get, startProduct, startVenues, untilMetric, type Running } from '../lib/product.js';
import { quantile } from '../lib/statistics.js';
import { wrkSlice } from '../lib/wrk.js';
import { QUERY, TICKS, perEvent, type Delivery } from './fanout.js';

export type Point = readonly [x: number, y: number];
export interface Curve {
  readonly cost: readonly Point[];
  readonly megabytes: readonly Point[];
}

const scratch = mkdtempSync(join(tmpdir(), 'bench-scale-'));
const UNPACED = {
  RATE_LIMIT_REQUESTS: '1000000',
  EXCHANGE_OPTIONS: JSON.stringify({
    binance: { rateLimit: 1 },
    kraken: { rateLimit: 1 },
    coinbaseexchange: { rateLimit: 1 },
  }),
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

const scriptFile = (name: string, text: string): string => {
  const file = join(scratch, `${name}.lua`);
  writeFileSync(file, text);
  return file;
};

/** A wrk script that asks for the first `count` keys in turn. */
const keyScript = (count: number): string =>
  scriptFile(
    `keys-${count}`,
    `local i = 0\nrequest = function()\n  i = (i + 1) % ${count}\n` +
      `  return wrk.format("GET", string.format("${keyPath(0).replace(String(SINCE), '%d')}", ${SINCE} + i * 60000))\nend\n`,
  );

/** Microseconds of the server's CPU an answer. */
const perAnswer = async (context: Context, product: Running, script: string): Promise<number> => {
  const slices: number[] = [];
  for (let i = 0; i < (context.smoke ? 1 : 3); i++)
    slices.push(1e6 / (await wrkSlice(product, product.url, { seconds: 1, script })).perCpuSecond);
  return quantile(slices, 0.5);
};

export const keys = async (context: Context, counts: readonly number[]): Promise<Curve> => {
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
      cost.push([count, await perAnswer(context, product, keyScript(count))]);
      megabytes.push([count, residentBytes(product.pid) / 1e6]);
    }
    return { cost, megabytes };
  } finally {
    await product.stop();
    await venues.stop();
  }
};

const SUBSCRIPTIONS_A_SOCKET = 100;
/** Of every three topics one is Binance's, of which the server keeps at most 4,000 live. */
const SHARES = [
  ['binance', 1],
  ['kraken', 2],
] as const;

interface TopicName {
  readonly exchange: string;
  readonly symbol: string;
}

interface Reply {
  readonly success: boolean;
  readonly symbol: string;
  readonly problem?: { readonly retryable: boolean; readonly detail: string };
}

/** The answers to one request for these topics. */
const subscribe = async (
  socket: WebSocket,
  exchange: string,
  symbol: readonly string[],
): Promise<Reply[]> => {
  const replies: Reply[] = [];
  const answered = new Promise<void>((resolve) => {
    const read = (data: Buffer): void => {
      if (!data.includes('"method":"subscribe"')) return;
      if (replies.push(JSON.parse(data.toString()) as Reply) < symbol.length) return;
      socket.off('message', read);
      resolve();
    };
    socket.on('message', read);
  });
  socket.send(
    JSON.stringify({ method: 'subscribe', params: { channel: 'ticker', exchange, symbol }, req_id: 1 }),
  );
  await answered;
  return replies;
};

const ATTEMPTS = 60;

/** Subscribes to these topics on one socket. What the server has no room for just now is asked for again, as told. */
const openOn = async (socket: WebSocket, exchange: string, symbols: readonly string[]): Promise<void> => {
  let missing = symbols;
  for (let attempt = 0; missing.length > 0; attempt++) {
    const refused = (await subscribe(socket, exchange, missing)).filter(({ success }) => !success);
    const final = refused.find(({ problem }) => attempt === ATTEMPTS || problem?.retryable !== true);
    if (final !== undefined) throw new Error(`${final.symbol} was refused: ${final.problem?.detail ?? ''}`);
    missing = refused.map(({ symbol }) => symbol);
    if (missing.length > 0) await pause(1000);
  }
};

/** Opens topics on top of BTC/USDT. */
const openTopics = async (product: Running, names: readonly TopicName[]): Promise<WebSocket[]> => {
  const sockets: WebSocket[] = [];
  for (const [exchange] of SHARES) {
    const symbols = names.filter((name) => name.exchange === exchange).map(({ symbol }) => symbol);
    for (let from = 0; from < symbols.length; from += SUBSCRIPTIONS_A_SOCKET) {
      const socket = new WebSocket(`ws://127.0.0.1:${product.port}/ws`);
      sockets.push(socket);
      await once(socket, 'open');
      await openOn(socket, exchange, symbols.slice(from, from + SUBSCRIPTIONS_A_SOCKET));
    }
  }
  return sockets;
};

const symbolsOf = async (product: Running, exchange: string): Promise<string[]> => {
  const symbols: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page = `limit=1000${cursor === '' ? '' : `&cursor=${cursor}`}`;
    const { body } = await get(`${product.url}/v1/markets?exchange=${exchange}&${page}`);
    const { markets, next_cursor } = JSON.parse(body.toString()) as {
      markets: { symbol: string }[];
      next_cursor: string | null;
    };
    symbols.push(...markets.map(({ symbol }) => symbol));
    cursor = next_cursor;
  }
  return symbols;
};

/** `count` topics beside BTC/USDT, of both venues by their shares. */
const topicNames = async (product: Running, count: number): Promise<TopicName[]> => {
  const lists: TopicName[][] = [];
  for (const [exchange, share] of SHARES) {
    const symbols = (await symbolsOf(product, exchange)).filter((symbol) => symbol !== 'BTC/USDT');
    for (let first = 0; first < share; first++)
      lists.push(symbols.filter((_, i) => i % share === first).map((symbol) => ({ exchange, symbol })));
  }
  const longest = Math.max(...lists.map((list) => list.length));
  const inTurn = Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list[i] ?? []));
  return inTurn.flat().slice(0, count);
};

/** While topics are opened each symbol ticks once in five seconds: a feed that never speaks is taken for a dead one. */
const OPENING_TICKS = 0.2;
/** A few symbols may tick more often: nobody waits five seconds then. */
const OPENING_TICKS_OF_FEW = 2;
const QUIET_TICKS = 0.001;

/** All symbols but BTC/USDT, which goes on at its pace. */
const setTicks = async (venues: Running, perSecond: number): Promise<void> => {
  const ticks = [{ perSecond }, { venue: 'binance', symbol: 'BTC/USDT', perSecond: TICKS }];
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

/** Subscriptions leave at the venue's pace, and then the first tick is awaited. */
const untilLive = (product: Running, count: number): Promise<void> =>
  untilMetric(product, /^crypto_data_stream_feeds\{.*state="live"\}/, (live) => live >= count);

/** As in fanout.ts: what runs for every tick is compiled before the first figure counts. */
const WARM_UP_S = 10;

export const topics = async (context: Context, counts: readonly number[]): Promise<Curve> => {
  const most = Math.max(...counts);
  const [, krakens] = SHARES[1];
  const venues = await startVenues({ markets: Math.ceil((most * krakens) / 3) + 50, ticks: TICKS });
  const product = await startProduct(venues, { ...UNPACED, STREAM_IDLE_TIMEOUT: '3600' });
  const clients = { port: product.port, clients: 500, request: upgradeRequest(`/ws/ticker?${QUERY}`) };
  const measured = (seconds: number): Promise<number> =>
    perEvent(product, clients, { seconds, tally: { events: 0, clientLoad: 0 } });
  const cost: Point[] = [];
  const megabytes: Point[] = [];
  const sockets: WebSocket[] = [];
  try {
    const names = await topicNames(product, most - 1);
    if (!context.smoke) await measured(WARM_UP_S);
    let opened = 0;
    for (const count of counts) {
      context.progress(`B14 ${count} topics`);
      await setTicks(venues, count > 100 ? OPENING_TICKS : OPENING_TICKS_OF_FEW);
      sockets.push(...(await openTopics(product, names.slice(opened, count - 1))));
      opened = count - 1;
      await untilLive(product, opened);
      await setTicks(venues, QUIET_TICKS);
      cost.push([count, await measured(context.smoke ? 1 : 5)]);
      megabytes.push([count, residentBytes(product.pid) / 1e6]);
    }
    return { cost, megabytes };
  } finally {
    for (const socket of sockets) socket.terminate();
    await product.stop();
    await venues.stop();
  }
};

export const clients = async (context: Context, counts: readonly number[]): Promise<Curve> => {
  const venues = await startVenues({ ticks: 10 });
  const product = await startProduct(venues);
  const cost: Point[] = [];
  const megabytes: Point[] = [];
  try {
    for (const count of counts) {
      context.progress(`B14 ${count} clients`);
      const tally: Delivery = { events: 0, clientLoad: 0 };
      const crowd = { port: product.port, clients: count, request: upgradeRequest(`/ws/ticker?${QUERY}`) };
      const measured = perEvent(product, crowd, { seconds: context.smoke ? 1 : 2, tally });
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

const TICKERS = [
  '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT',
  '/v1/markets/ticker?exchange=kraken&symbol=BTC/USD',
  '/v1/markets/ticker?exchange=coinbaseexchange&symbol=BTC/USD',
];

/** The sandbox simulates three. Each has its markets loaded, and its cached ticker is asked for in turn. */
export const exchanges = async (context: Context, counts: readonly number[]): Promise<Curve> => {
  const venues = await startVenues({ markets: context.smoke ? 100 : 1000 });
  const cost: Point[] = [];
  const megabytes: Point[] = [];
  try {
    for (const count of counts) {
      context.progress(`B14 ${count} exchanges`);
      const ENABLED_EXCHANGES = ['binance', 'kraken', 'coinbaseexchange'].slice(0, count).join(',');
      const product = await startProduct(venues, { ...UNPACED, ENABLED_EXCHANGES, TICKER_CACHE_TTL: '600' });
      try {
        const paths = TICKERS.slice(0, count);
        for (const path of paths) await get(`${product.url}${path}`);
        const list = paths.map((path) => `"${path}"`).join(', ');
        const script = scriptFile(
          `exchanges-${count}`,
          `local paths = {${list}}\nlocal i = 0\nrequest = function()\n  i = i % #paths + 1\n` +
            '  return wrk.format("GET", paths[i])\nend\n',
        );
        cost.push([count, await perAnswer(context, product, script)]);
        megabytes.push([count, residentBytes(product.pid) / 1e6]);
      } finally {
        await product.stop();
      }
    }
    return { cost, megabytes };
  } finally {
    await venues.stop();
  }
};
