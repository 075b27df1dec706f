/** What clients and venues do to a server in the course of a day, by count. */
import { once } from 'node:events';
import net from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { fetch as undiciFetch, request } from 'undici';
import { WebSocket } from 'ws';
import type { SocketFault } from '../../src/sandbox/faults.js';
import { FAULTS, type FaultRow } from '../e2e/fault-matrix.js';
import { until, VENUES, type SoakRig } from './soak-rig.js';
import { readSse, readWs, type Reader } from '../e2e/streams-rig.js';

type Venue = (typeof VENUES)[number];

const MINUTE_MS = 60_000;
/** Parts of a cycle. */
const ROUNDS = 3;
const ASKED_AT_ONCE = 4;
const ABORTED = 8;
const STREAMS_OF_A_KIND = 4;

const symbolsOf = (venue: string): readonly string[] =>
  venue === 'binance' ? ['BTC/USDT', 'ETH/USDT'] : ['BTC/USD', 'ETH/USD'];
const paths = (venue: string): string[] =>
  symbolsOf(venue).flatMap((symbol) =>
    ['ticker?', 'ohlcv?limit=20&', 'orderbook?limit=5&', 'trades?limit=10&'].map(
      (kind) => `/v1/markets/${kind}exchange=${venue}&symbol=${symbol}`,
    ),
  );

/** What has happened so far, by name. */
export class Tally {
  readonly counts: Record<string, number> = {};
  add(what: string, count = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + count;
  }
}

export interface Traffic {
  readonly rig: SoakRig;
  readonly tally: Tally;
}

/** Counts what left for the venues, and starts a new log. */
const forget = async ({ rig, tally }: Traffic): Promise<void> => {
  const log = await rig.control.log();
  await rig.control.forget();
  tally.add('requests to venues', log.length);
  tally.add('market lists loaded', log.filter(({ kind }) => kind === 'markets').length);
};

const ask = async ({ rig, tally }: Traffic, path: string): Promise<number> => {
  const { status } = await rig.get(path);
  tally.add(`answers ${status}`);
  return status;
};

/** Every kind of market data at every venue: misses that share one call, then hits. */
const askForMarkets = async (traffic: Traffic): Promise<void> => {
  for (const venue of VENUES) {
    const wanted = [...paths(venue), `/v1/markets?exchange=${venue}`];
    for (let round = 0; round < 2; round += 1)
      await Promise.all(
        wanted.flatMap((path) => Array.from({ length: ASKED_AT_ONCE }, () => ask(traffic, path))),
      );
  }
};

/** Mistakes, probes and pages. */
const askAnythingElse = async (traffic: Traffic): Promise<void> => {
  const others = [
    '/nowhere',
    '/v1/markets/ticker',
    '/v1/markets/ticker?exchange=nowhere&symbol=BTC/USDT',
    '/v1/markets/ticker?exchange=binance&symbol=NO/SUCH',
    '/v1/markets/ohlcv?exchange=kraken&symbol=BTC/USD&interval=7m',
    '/v1/health',
    '/v1/health/ready',
    '/v1/exchanges',
    '/openapi.json',
    '/asyncapi.json',
    `/${'long'.repeat(3000)}`,
  ];
  await Promise.all(others.map((path) => ask(traffic, path)));
  const { rig, tally } = traffic;
  const { statusCode, body } = await request(`${rig.url}/v1/health`, {
    method: 'PUT',
    dispatcher: rig.agent,
  });
  await body.dump();
  tally.add(`answers ${statusCode}`);
  const broken = net.connect(rig.port, '127.0.0.1');
  broken.end('This is no HTTP.\r\n\r\n').resume();
  await once(broken, 'close');
  tally.add('requests that are no HTTP');
};

/** Clients that leave while the venue thinks. */
const abort = async (traffic: Traffic): Promise<void> => {
  const { rig, tally } = traffic;
  await forget(traffic);
  await rig.control.fault({ match: 'trades', fault: { type: 'delay', ms: 300 } });
  const sockets = Array.from({ length: ABORTED }, (_, i) => {
    const [venue = '', limit] = [VENUES[i % VENUES.length], 20 + i];
    const where = `/v1/markets/trades?exchange=${venue}&symbol=${symbolsOf(venue)[0] ?? ''}&limit=${limit}`;
    const socket = net.connect(rig.port, '127.0.0.1');
    socket.write(`GET ${where} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return socket;
  });
  await until('the venues think', async () => (await rig.control.log()).length >= ABORTED);
  await Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
  await rig.control.clear();
  tally.add('requests aborted', ABORTED);
};

const callTools = async ({ rig, tally }: Traffic): Promise<void> => {
  for (const mode of ['auto', 'legacy'] as const) {
    const client = new Client({ name: 'soak', version: '1.0.0' }, { versionNegotiation: { mode } });
    const ownFetch = (url: string | URL, init?: RequestInit): Promise<Response> =>
      undiciFetch(url, { ...init, dispatcher: rig.agent } as never) as Promise<unknown> as Promise<Response>;
    await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', rig.url), { fetch: ownFetch }));
    const topic = { exchange: 'binance', symbol: 'BTC/USDT' };
    for (const name of ['get_ticker', 'get_ohlcv', 'get_orderbook', 'get_trades'])
      await client.callTool({ name, arguments: topic });
    await client.callTool({ name: 'get_ticker', arguments: { ...topic, symbol: 'NO/SUCH' } });
    await client.readResource({ uri: 'market://binance/BTC-USDT/ticker' });
    await client.close();
    tally.add('MCP calls', 6);
  }
};

/** All four channels of one venue over one socket. */
const openSession = async (rig: SoakRig, venue: string): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/ws`);
  await once(socket, 'open');
  const channels = [
    { channel: 'ticker', threshold: 0 },
    { channel: 'trades' },
    { channel: 'orderbook' },
    { channel: 'ohlcv', interval: '1m' },
  ];
  let replies = 0;
  socket.on('message', (data: Buffer) => {
    if (data.toString().includes('"event_type":"reply"')) replies += 1;
  });
  for (const params of channels)
    socket.send(
      JSON.stringify({
        method: 'subscribe',
        params: { ...params, exchange: venue, symbol: symbolsOf(venue) },
      }),
    );
  await until(`${venue}'s channels are subscribed`, () => replies === 2 * channels.length);
  return socket;
};

/** What a venue does to its feeds while clients read them, or when they are to be opened. */
type Mishap = (
  | { readonly does: Record<string, unknown> }
  | { readonly refuses: SocketFault | { type: 'status'; status: number } | { type: 'hang' | 'reset' } }
) & {
  /** The clients wait until the feed is well again; otherwise they leave before. */
  readonly recovers: boolean;
};
const MISHAPS: readonly Mishap[] = [
  { does: { action: 'close', code: 1001 }, recovers: true },
  { does: { action: 'terminate' }, recovers: true },
  { does: { action: 'mute' }, recovers: false },
  { does: { action: 'send', frame: 'garbage' }, recovers: true },
  { does: { action: 'gap' }, recovers: true },
  { refuses: { type: 'status', status: 503 }, recovers: true },
  { refuses: { type: 'reset' }, recovers: true },
  { refuses: { type: 'hang' }, recovers: false },
  { refuses: { type: 'ws_silent' }, recovers: false },
];

const moreTickers = async (readers: readonly Reader[], why: string): Promise<void> => {
  const before = readers.map(({ tickers }) => tickers.length);
  await until(`more tickers ${why}`, () =>
    readers.every(({ tickers }, place) => tickers.length >= (before[place] ?? 0) + 2),
  );
};

const streamFrom = async (traffic: Traffic, venue: Venue, mishap: Mishap): Promise<void> => {
  const { rig, tally } = traffic;
  const query = `exchange=${venue}&symbol=${symbolsOf(venue)[0] ?? ''}&threshold=0`;
  if ('refuses' in mishap)
    await rig.control.fault({
      venue,
      match: 'websocket',
      fault: mishap.refuses,
      ...(mishap.recovers ? { times: 1 } : {}),
    });
  const session = await openSession(rig, venue);
  const readers = await Promise.all(
    Array.from({ length: STREAMS_OF_A_KIND }, () => [
      readSse(rig.port, query),
      readWs(rig.port, query),
    ]).flat(),
  );
  if ('does' in mishap) {
    await moreTickers(readers, `from ${venue}`);
    await rig.control.sockets({ venue, ...mishap.does });
  } else await until(`${venue} is asked for a feed`, () => hasAskedForFeed(traffic, venue));
  if (mishap.recovers) await moreTickers(readers, `from ${venue} after ${JSON.stringify(mishap)}`);
  session.send(
    JSON.stringify({
      method: 'unsubscribe',
      params: { channel: 'trades', exchange: venue, symbol: symbolsOf(venue) },
    }),
  );
  session.close();
  for (const reader of readers) reader.close();
  await Promise.all([once(session, 'close'), ...readers.map(({ closed }) => closed)]);
  tally.add('streams', readers.length + 1);
  tally.add('feed mishaps');
};

const streamsAreOver = async ({ rig }: Traffic): Promise<void> => {
  await until('no topic is left', async () => (await rig.metric('stream_topics')) === 0);
  await until('no feed is left', async () => (await rig.control.open()).length === 0);
};

/** One of them loses its worker, with its feeds, each time; the others have theirs for the whole day. */
const MORTAL = 'coinbaseexchange';

const hasAskedForFeed = async ({ rig }: Traffic, venue: string): Promise<boolean> =>
  (await rig.control.log()).some((entry) => entry.venue === venue && entry.kind === 'websocket');

const killWorker = async (traffic: Traffic): Promise<void> => {
  await until(`${MORTAL} is asked for a feed`, () => hasAskedForFeed(traffic, MORTAL));
  await traffic.rig.killWorker(MORTAL);
  traffic.tally.add('workers killed');
};

/** At once at all venues, each with a mishap of its own; in the last round a worker dies as well. */
const stream = async (traffic: Traffic, round: number, index: number): Promise<void> => {
  await forget(traffic);
  await Promise.all([
    ...VENUES.map((venue, place) => {
      const mishap = MISHAPS[round * VENUES.length + ((place + index) % VENUES.length)]!;
      return streamFrom(traffic, venue, mishap);
    }),
    ...(round === ROUNDS - 1 ? [killWorker(traffic)] : []),
  ]);
  await traffic.rig.control.clear();
  await streamsAreOver(traffic);
};

/** The matrix's Retry-After of half a minute would be waited for in earnest. */
const brief = ({ fault }: FaultRow): FaultRow['fault'] =>
  'retryAfter' in fault
    ? { ...fault, retryAfter: typeof fault.retryAfter === 'string' ? 'http-date:1' : 1 }
    : fault;

/** Where the venue says when to come back, refreshes behind stale answers wait for as long. */
const waits = ({ retryAfter }: FaultRow): boolean => retryAfter !== undefined;

/** Four rows of the matrix at once, one a kind; those that keep all requests back apart from the others. */
const KINDS = ['ticker', 'ohlcv', 'orderbook', 'trades'] as const;
const GROUPS = [FAULTS.filter(waits), FAULTS.filter((row) => !waits(row))].flatMap((rows) =>
  Array.from({ length: Math.ceil(rows.length / KINDS.length) }, (_, place) =>
    rows.slice(place * KINDS.length, (place + 1) * KINDS.length),
  ),
);

const askOnce = (traffic: Traffic): Promise<unknown> =>
  Promise.all(VENUES.flatMap(paths).map((path) => ask(traffic, path)));

/** An answer that goes stale, venues that fail then, and the time after which the longest ban is forgiven: an hour. */
const failOnce = async (traffic: Traffic, rows: readonly FaultRow[]): Promise<void> => {
  const { rig, tally } = traffic;
  const stale = !rows.some(waits);
  if (stale) await askOnce(traffic);
  await rig.pass(2 * MINUTE_MS);
  for (const [place, row] of rows.entries())
    await rig.control.fault({ match: KINDS[place]!, fault: brief(row) });
  if (stale) await askOnce(traffic);
  await rig.pass(38 * MINUTE_MS);
  await askOnce(traffic);
  await rig.control.clear();
  await rig.pass(20 * MINUTE_MS);
  tally.add('venue faults', rows.length * VENUES.length);
};

/** A third of a day: everything once. `index` counts the cycles, so that each time another venue meets each mishap. */
export const cycle = async (traffic: Traffic, index: number): Promise<void> => {
  for (let round = 0; round < ROUNDS; round += 1) {
    await askForMarkets(traffic);
    await askAnythingElse(traffic);
    await abort(traffic);
    await callTools(traffic);
    await stream(traffic, round, index);
    for (const rows of GROUPS.filter((_, place) => place % ROUNDS === round)) await failOnce(traffic, rows);
  }
  await forget(traffic);
};
