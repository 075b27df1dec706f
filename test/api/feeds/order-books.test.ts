// What readers of live order books see when the venue's updates go wrong: over CCXT and the sandbox.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BookFault } from '../../../src/sandbox/venues/venue.js';
import {
  eventually,
  isTrueBook,
  startRig,
  VENUES,
  watchRejections,
  type Rig,
  type StreamClient,
} from './rig.js';

type Venue = (typeof VENUES)[number];
const [BINANCE, KRAKEN, COINBASE] = VENUES;

let rig: Rig;
let rejections: ReturnType<typeof watchRejections>;

beforeEach(() => {
  rejections = watchRejections();
});
afterEach(async () => {
  await rig.close();
  rejections.stop();
  expect(rejections.seen).toEqual([]);
});

const open = async ({ exchange }: Venue, symbol: string): Promise<StreamClient> => {
  const { client } = await rig.join({ channel: 'orderbook', exchange, symbol });
  await client.state('live');
  await client.more('orderbook', 2);
  return client;
};

/** A part of the name of the book's channel. */
const channelOf = ({ exchange, symbol }: Venue): string =>
  exchange === 'binance' ? 'btcusdt@depth' : exchange === 'kraken' ? symbol : 'BTC-USD';

const spoil = (venue: Venue, fault: BookFault): void => {
  const { exchange } = venue;
  rig.sandbox.control.sockets(exchange, { action: 'book', fault, channel: channelOf(venue) });
};

/** What was told after the feed was live for the first time. */
const statesSinceLive = ({ states }: StreamClient): unknown[] => states.slice(states.indexOf('live') + 1);

const expectTrueBooks = (venue: Venue, client: StreamClient, symbol: string): void => {
  const books = client.ofType('orderbook') as unknown as Omit<Parameters<typeof isTrueBook>[2], 'lagMs'>[];
  for (const book of books)
    expect(isTrueBook(rig.sandbox, { exchange: venue.exchange, symbol }, { ...book, lagMs: 3_000 })).toBe(
      true,
    );
};

describe.each<readonly [Venue, BookFault, string]>([
  [BINANCE, 'lose', 'sequence'],
  [BINANCE, 'reorder', 'sequence'],
  [BINANCE, 'stuck', 'sequence'],
  [KRAKEN, 'checksum', 'checksum'],
  [KRAKEN, 'corrupt', 'checksum'],
  [KRAKEN, 'ghost', 'checksum'],
])('the order book of %o with the fault %s', (venue, fault, reason) => {
  it('is told and renewed without one wrong level, and another book goes on', async () => {
    rig = await startRig();
    const client = await open(venue, venue.symbol);
    const other = await open(venue, venue.other);
    const before = client.events.length;
    const othersBefore = other.events.length;
    spoil(venue, fault);
    await client.state('reconnecting', before);
    expect(client.ofType('status').at(-1)?.['detail']).toMatch(/^book_integrity: /);
    const atFault = client.events.length;
    await client.state('live', before);
    expect(client.events.slice(atFault, -1).map(({ event_type }) => event_type)).not.toContain('orderbook');
    await client.more('orderbook', 2);
    await other.more('orderbook', 2);
    expectTrueBooks(venue, client, venue.symbol);
    expectTrueBooks(venue, other, venue.other);
    expect(other.events.slice(othersBefore).map(({ event_type }) => event_type)).not.toContain('status');
    expect(rig.hub.stats().bookResyncs).toEqual([{ exchange: venue.exchange, reason, count: 1 }]);
  });
});

describe.each(VENUES)('the order book of $exchange with an update that comes twice', (venue) => {
  it('stays live and right', async () => {
    rig = await startRig();
    const client = await open(venue, venue.symbol);
    spoil(venue, 'repeat');
    await client.more('orderbook', 5);
    expect(client.states.at(-1)).toBe('live');
    expect(statesSinceLive(client)).toEqual([]);
    expect(rig.hub.stats().bookResyncs).toEqual([]);
    if (venue !== COINBASE) expectTrueBooks(venue, client, venue.symbol);
  });
});

describe('the order book of a venue that sends nothing to check', () => {
  it('stays live while REST agrees, and is told and renewed within a minute of a level that is in no book', async () => {
    // The market stands still unless the test moves it, so that REST and the feed show the same but for the fault.
    let at = Date.now();
    rig = await startRig({ hurry: 20, sandbox: { now: () => at } });
    const { exchange, symbol } = COINBASE;
    const { client } = await rig.join({ channel: 'orderbook', exchange, symbol });
    await client.state('live');
    const looks = (): number =>
      rig.sandbox.control.requestLog().filter(({ kind }) => kind === 'orderbook').length;
    const looksBefore = looks();
    await eventually(() => looks() > looksBefore);
    expect(client.states.at(-1)).toBe('live');
    expect(statesSinceLive(client)).toEqual([]);
    spoil(COINBASE, 'ghost');
    at += 1_000;
    await client.more('orderbook', 1);
    await client.state('reconnecting', client.events.length);
    expect(String(client.ofType('status').at(-1)?.['detail'])).toMatch(/^book_integrity: .*REST/);
    expect(rig.hub.stats().bookResyncs).toEqual([{ exchange, reason: 'crosscheck', count: 1 }]);
    await client.state('live', client.events.length);
    await eventually(() => client.ofType('orderbook').length > 0);
    const last = client.ofType('orderbook').at(-1) as unknown as Omit<
      Parameters<typeof isTrueBook>[2],
      'lagMs'
    >;
    expect(isTrueBook(rig.sandbox, COINBASE, { ...last, timestamp: at, lagMs: 0 })).toBe(true);
  });
});

describe('orderbook events', () => {
  it.each([
    [BINANCE, 'sequence'],
    [KRAKEN, 'checksum'],
    [COINBASE, 'crosscheck'],
  ] as const)('of %o say how they are checked: %s', async (venue, kind) => {
    rig = await startRig();
    const client = await open(venue, venue.symbol);
    for (const { book_integrity } of client.ofType('orderbook')) expect(book_integrity).toBe(kind);
    expect((await rig.client.describe(venue.exchange)).bookIntegrity).toBe(kind);
  });
});
