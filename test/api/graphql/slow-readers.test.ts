// Subscribers whose real socket stops reading: prices are conflated, trades are counted, and `Lost` says how many.
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { GraphqlRig } from './graphql-app.js';
import { TransportWsClient } from './transport-ws-client.js';

let sandbox: Sandbox;
let rig: GraphqlRig;
beforeAll(async () => {
  sandbox = await startSandbox({ ticksPerSecond: 50, weightLimit: Infinity });
  rig = await GraphqlRig.start(sandbox, { GRAPHQL_MAX_ALIASES: '1000', GRAPHQL_MAX_FIELDS: '1000' });
});
const open: { end(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.end();
});
afterAll(async () => {
  await rig.close();
  await sandbox.close();
});

interface Result {
  readonly __typename: string;
  readonly trades?: readonly { readonly tradeId: string }[];
  readonly timestamp?: number;
  readonly channel?: string;
  readonly exchange?: string;
  readonly symbol?: string;
  readonly count?: number;
}

/** One subscriber: what it got so far, and whether it reads. */
interface Reader {
  readonly results: Result[];
  pause(): void;
  resume(): void;
  end(): void;
}

const resultIn = (payload: unknown): Result => {
  const { data } = payload as { readonly data: Readonly<Record<string, Result>> };
  return Object.values(data)[0]!;
};

const overWebSocket = async (query: string): Promise<Reader> => {
  const client = new TransportWsClient(rig.wsUrl);
  await client.init();
  await client.next(({ type }) => type === 'connection_ack');
  const results: Result[] = [];
  client.socket.on('message', (data: Buffer) => {
    const { type, payload } = JSON.parse(data.toString()) as { type: string; payload: unknown };
    if (type === 'next') results.push(resultIn(payload));
  });
  client.subscribe('1', query);
  return {
    results,
    pause: () => {
      client.socket.pause();
    },
    resume: () => {
      client.socket.resume();
    },
    end: () => {
      client.socket.terminate();
    },
  };
};

const overEventStream = async (query: string): Promise<Reader> => {
  const asked = request(`${rig.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
  });
  asked.end(JSON.stringify({ query }));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const results: Result[] = [];
  let pieces: string[] = [];
  answer.setEncoding('utf8').on('data', (piece: string) => {
    pieces.push(piece);
    // Events have megabytes: they are joined once their end is there.
    if (!piece.includes('\n')) return;
    const events = pieces.join('').split('\n\n');
    pieces = [events.pop() ?? ''];
    for (const event of events) {
      const json = /^event: next\ndata: (.*)$/.exec(event)?.[1];
      if (json !== undefined) results.push(resultIn(JSON.parse(json)));
    }
  });
  answer.on('error', () => undefined);
  return {
    results,
    pause: () => answer.pause(),
    resume: () => answer.resume(),
    end: () => answer.destroy(),
  };
};

/**
 * Thirty names of 400 characters for one field, spread several times: a third of a megabyte for each trade or price level.
 * The kernel holds some ten megabytes for a socket of loopback, which the first events fill.
 */
const bulk = (type: string, field: string): string => {
  const names = Array.from({ length: 30 }, (_, i) => 'x'.repeat(398) + String(i).padStart(2, '0'));
  return `fragment Bulk on ${type} { ${names.map((name) => `${name}: ${field}`).join(' ')} }`;
};
const spread = (field: string, times: number): string =>
  Array.from({ length: times }, (_, i) => `spread${i}: ${field} { ...Bulk }`).join(' ');

const LOST = '... on Lost { channel exchange symbol count }';
const trades = (more = ''): string =>
  `subscription { trades(exchange: "binance", symbol: "BTC/USDT") { __typename ${LOST} ... on TradesEvent { trades { tradeId } ${more} } } }`;
const book = (more = ''): string =>
  `subscription { orderBook(exchange: "binance", symbol: "BTC/USDT") { __typename ${LOST} ... on OrderBookEvent { timestamp ${more} } } }`;

const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`${rig.url}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^crypto_data_${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
};

const TRANSPORTS = [
  ['a WebSocket', overWebSocket],
  ['an event stream', overEventStream],
] as const;

const idsOf = (results: readonly Result[]): string[] =>
  results.flatMap(({ trades }) => (trades ?? []).map(({ tradeId }) => tradeId));
/** Long beside the second or two that it takes. */
const PATIENCE = { timeout: 20_000 };

test.each(TRANSPORTS)(
  'trades that do not reach %s are told by Lost with channel and count, and none is missing beside them',
  async (_transport, subscribe) => {
    const neighbour = await subscribe(trades());
    await expect.poll(() => idsOf(neighbour.results).length, PATIENCE).toBeGreaterThan(0);
    const before = await metric('stream_events_lost_total');
    const slow = await subscribe(`${trades(spread('trades', 30))} ${bulk('Trade', 'tradeId')}`);
    open.push(neighbour, slow);
    slow.pause();
    await expect
      .poll(async () => (await metric('stream_events_lost_total')) - before, PATIENCE)
      .toBeGreaterThanOrEqual(5);
    slow.resume();
    const isLost = ({ __typename }: Result) => __typename === 'Lost';
    await expect.poll(() => slow.results.findIndex(isLost), PATIENCE).toBeGreaterThan(0);
    const at = slow.results.findIndex(isLost);
    await expect.poll(() => idsOf(slow.results.slice(at)).length, PATIENCE).toBeGreaterThan(0);
    const { channel, exchange, symbol } = slow.results[at] ?? { __typename: '' };
    expect({ channel, exchange, symbol }).toEqual({
      channel: 'trades',
      exchange: 'binance',
      symbol: 'BTC/USDT',
    });

    const got = idsOf(slow.results);
    const newest = got.at(-1) ?? '';
    await expect.poll(() => idsOf(neighbour.results).includes(newest), PATIENCE).toBe(true);
    const all = idsOf(neighbour.results);
    const due = all.slice(all.indexOf(got[0] ?? ''), all.indexOf(newest) + 1);
    expect(got).toEqual(due.filter((id) => got.includes(id)));
    const told = slow.results.filter(isLost).reduce((sum, lost) => sum + (lost.count ?? NaN), 0);
    expect(told).toBe(due.length - got.length);
    expect(neighbour.results.filter(isLost)).toEqual([]);
  },
);

test.each(TRANSPORTS)(
  'books that do not reach %s are replaced by the latest, and nothing is told of as lost',
  async (_transport, subscribe) => {
    const neighbour = await subscribe(book());
    const slow = await subscribe(`${book(spread('bids', 30))} ${bulk('PriceLevel', 'price')}`);
    open.push(neighbour, slow);
    const books = ({ results }: Reader) =>
      results
        .filter(({ __typename }) => __typename === 'OrderBookEvent')
        .map(({ timestamp = 0 }) => timestamp);
    await expect.poll(() => books(slow).length, PATIENCE).toBeGreaterThan(0);
    const before = await metric('stream_events_conflated_total');
    slow.pause();
    await expect
      .poll(async () => (await metric('stream_events_conflated_total')) - before, PATIENCE)
      .toBeGreaterThanOrEqual(5);
    const missedUntil = books(neighbour).at(-1);
    slow.resume();
    await expect.poll(() => books(slow).at(-1), PATIENCE).toBeGreaterThanOrEqual(missedUntil ?? Infinity);
    // The neighbour got every book; the reader that stopped got some of them, in the same order.
    await expect.poll(() => books(neighbour).includes(books(slow).at(-1) ?? 0), PATIENCE).toBe(true);
    const all = books(neighbour);
    const places = books(slow).map((one) => all.indexOf(one));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(Math.max(...places.map((place, i) => place - (places[i - 1] ?? place)))).toBeGreaterThanOrEqual(5);
    expect(slow.results.filter(({ __typename }) => __typename === 'Lost')).toEqual([]);
  },
);
