// One faulty update of an order book: what of it is wrong, in each venue's form, and what arrives at a socket.
import { describe, expect, test } from 'vitest';
import { type WebSocket } from 'ws';
import { binanceFault, coinbaseFault, krakenFault } from '../../../src/sandbox/book-faults.js';
import { createChannelHub } from '../../../src/sandbox/channel-hub.js';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { BOOK_FAULTS, type BookFault, type FeedVenue } from '../../../src/sandbox/venues/venue.js';
import { Peer } from '../../../src/sandbox/ws-peer.js';

const GHOST = '64000.5';
/** `first`: the update that the fault met first, where that is another one. */
const altered = (
  alter: typeof binanceFault,
  update: object,
  what: BookFault | [BookFault, object],
): unknown => {
  const [fault, first] = typeof what === 'string' ? [what, update] : what;
  const alteration = { fault, first: JSON.stringify(first), time: 0 };
  return JSON.parse(alter(JSON.stringify(update), alteration, GHOST)) as unknown;
};

describe('Binance', () => {
  const update = { U: 11, u: 12, b: [['64000', '2']], a: [['64001', '3']] };

  test('a wrong amount, of a bid or else of an ask', () => {
    expect(altered(binanceFault, update, 'corrupt')).toEqual({ ...update, b: [['64000', '14']] });
    const asks = { ...update, b: [] };
    expect(altered(binanceFault, asks, 'corrupt')).toEqual({ ...asks, a: [['64001', '21']] });
    const none = { ...asks, a: [] };
    expect(altered(binanceFault, none, 'corrupt')).toEqual(none);
  });

  test('a removed level that stays', () => {
    const gone = { ...update, b: [['64000', '0']] };
    expect(altered(binanceFault, gone, 'corrupt')).toEqual({ ...update, b: [['64000', '7']] });
  });

  test('a level that is in no book', () => {
    expect(altered(binanceFault, update, 'ghost')).toEqual({ ...update, b: [...update.b, [GHOST, '7']] });
  });

  test('numbers that stop where they were', () => {
    expect(altered(binanceFault, { ...update, U: 13, u: 14 }, ['stuck', update])).toEqual(update);
  });

  test('has no checksum that could be wrong', () => {
    expect(altered(binanceFault, update, 'checksum')).toEqual(update);
  });
});

describe('Kraken', () => {
  const bids = [{ price: 64_000, qty: 2 }];
  const asks = [{ price: 64_001, qty: 3 }];
  const update = (book: object) => ({ data: [{ bids, asks, checksum: 5, ...book }] });

  test('a wrong amount, of a bid or else of an ask', () => {
    expect(altered(krakenFault, update({}), 'corrupt')).toEqual(
      update({ bids: [{ price: 64_000, qty: 14 }] }),
    );
    expect(altered(krakenFault, update({ bids: [] }), 'corrupt')).toEqual(
      update({ bids: [], asks: [{ price: 64_001, qty: 21 }] }),
    );
    const none = update({ bids: [], asks: [] });
    expect(altered(krakenFault, none, 'corrupt')).toEqual(none);
  });

  test('a level that is in no book, and a wrong checksum', () => {
    const ghost = { price: Number(GHOST), qty: 7 };
    expect(altered(krakenFault, update({}), 'ghost')).toEqual(update({ bids: [...bids, ghost] }));
    expect(altered(krakenFault, update({}), 'checksum')).toEqual(update({ checksum: 6 }));
    expect(altered(krakenFault, update({ checksum: 2 ** 32 - 1 }), 'checksum')).toEqual(
      update({ checksum: 0 }),
    );
  });

  test('has no numbers that could stop', () => {
    expect(altered(krakenFault, update({}), 'stuck')).toEqual(update({}));
  });
});

describe('Coinbase Exchange', () => {
  const update = { changes: [['sell', '64001', '3']] };

  test('a wrong amount, and a level that is in no book', () => {
    expect(altered(coinbaseFault, update, 'corrupt')).toEqual({ changes: [['sell', '64001', '21']] });
    expect(altered(coinbaseFault, update, 'ghost')).toEqual({
      changes: [...update.changes, ['buy', GHOST, '7']],
    });
  });

  test('has neither numbers nor a checksum', () => {
    for (const fault of ['stuck', 'checksum'] as const)
      expect(altered(coinbaseFault, update, fault)).toEqual(update);
  });
});

describe('at a socket', () => {
  const [market] = createMarketTruth({ seed: 7, perVenue: 1 }).markets('kraken');
  if (market === undefined) throw new Error('no market');

  /** A venue whose updates are numbers; `torn` says what stands in the place of a lost one. */
  const venueWith = (torn?: string): FeedVenue => ({
    id: 'kraken',
    hosts: [],
    message: () => undefined,
    channel: (key) => {
      if (key === 'nothing') return undefined;
      let number = 0;
      const update = (time: number): string[] => {
        number += 1;
        return time === 0 ? [] : [`${key}${number}`];
      };
      if (key === 'ticker') return { market, update };
      const tornUpdate = torn === undefined ? {} : { tornUpdate: () => [torn] };
      const alter = (frame: string, { fault, first }: { fault: string; first: string }): string =>
        `${fault}(${frame},${first})`;
      return { market, book: { alter, ...tornUpdate }, update };
    },
  });

  interface FakeSocket {
    readyState: number;
    bufferedAmount: number;
  }

  const rig = (torn?: string) => {
    const clock: { now: number; tick: (time: number) => void; ticking: number } = {
      now: 1_000,
      tick: () => undefined,
      ticking: 0,
    };
    const hub = createChannelHub({
      now: () => clock.now,
      clock: {
        start: (_market, onTick) => {
          clock.ticking += 1;
          clock.tick = onTick;
        },
        stop: () => void (clock.ticking -= 1),
        setRate: () => undefined,
        close: () => undefined,
      },
    });
    const sent: string[] = [];
    const pings: string[] = [];
    const socket = {
      readyState: 1,
      bufferedAmount: 0,
      send: (frame: string) => void sent.push(frame),
      terminate: () => void sent.push('<cut>'),
      close: (code: number, reason: string) => void sent.push(`<closed ${code} ${reason}>`),
      ping: () => void pings.push('ping'),
      pong: (data: Buffer) => void pings.push(`pong ${data.toString()}`),
    };
    const open = () =>
      new Peer({
        venue: venueWith(torn),
        path: '/',
        socket: socket as unknown as WebSocket,
        hub,
        now: () => clock.now,
        onFrame: () => undefined,
      });
    const tick = (times = 1): string[] => {
      sent.length = 0;
      for (let i = 0; i < times; i += 1) {
        clock.now += 100;
        clock.tick(clock.now);
      }
      return [...sent];
    };
    return { hub, clock, sent, pings, socket: socket as FakeSocket, open, tick };
  };

  const WANTED: Readonly<Record<BookFault, readonly string[]>> = {
    lose: ['book2', 'book3'],
    repeat: ['book1', 'book1', 'book2', 'book3'],
    reorder: ['book2', 'book1', 'book3'],
    corrupt: ['corrupt(book1,book1)', 'book2', 'book3'],
    checksum: ['checksum(book1,book1)', 'book2', 'book3'],
    ghost: ['ghost(book1,book1)', 'book2', 'book3'],
    stuck: ['book1', 'stuck(book2,book1)', 'stuck(book3,book1)'],
  };

  test.each(BOOK_FAULTS)('%s meets the next update, and stuck all further ones', (fault) => {
    const { open, tick } = rig();
    const peer = open();
    peer.feed.join('book');
    peer.act({ action: 'book', fault });
    expect(tick(3)).toEqual(WANTED[fault]);
  });

  test('meets books of the named channel only, and nothing but books', () => {
    const { open, tick } = rig();
    const peer = open();
    for (const channel of ['book', 'other', 'ticker']) peer.feed.join(channel);
    peer.act({ action: 'book', fault: 'lose', channel: 'oth' });
    expect(tick()).toEqual(['book1', 'ticker1']);
    peer.act({ action: 'book', fault: 'lose' });
    expect(tick()).toEqual(['ticker2']);
  });

  test('a gap loses the next update, or leaves what its venue tears off', () => {
    const plain = rig();
    const peer = plain.open();
    peer.feed.join('book');
    peer.act({ action: 'gap' });
    expect(plain.tick(2)).toEqual(['book2']);
    const torn = rig('torn');
    const other = torn.open();
    other.gapOnJoin = true;
    other.feed.join('book');
    expect(torn.tick(3)).toEqual(['book1', 'torn', 'book3']);
  });

  test('channels are shared, joined once, and end with the last who leaves', () => {
    const { hub, clock, open, tick, sent } = rig();
    const [one, two] = [open(), open()];
    expect(one.feed.join('nothing')).toBe(false);
    expect(one.feed.join('book') && one.feed.join('book') && two.feed.join('book')).toBe(true);
    expect(two.feed.join('ticker')).toBe(true);
    expect([hub.count(), clock.ticking]).toEqual([2, 1]);
    expect(tick()).toEqual(['book1', 'book1', 'ticker1']);
    // No update for a time that has been told, and none for what has none.
    sent.length = 0;
    clock.tick(clock.now);
    expect(sent).toEqual([]);
    two.leaveAll();
    two.feed.leave('book');
    expect([hub.count(), clock.ticking, one.feed.channels()]).toEqual([1, 1, ['book']]);
    one.leaveAll();
    expect([hub.count(), clock.ticking]).toEqual([0, 0]);
    hub.leave('kraken', 'book', { frame: () => undefined, skipsBook: () => false, bookFrames: () => [] });
    expect(hub.count()).toBe(0);
  });

  test('a socket has at most 10,000 channels', () => {
    const { open } = rig();
    const peer = open();
    for (let i = 0; i < 10_000; i += 1) peer.feed.join(`book${i}`);
    expect(peer.feed.join('one more')).toBe(false);
    expect(peer.feed.channels()).toHaveLength(10_000);
    peer.leaveAll();
  });

  test('a reader who lets 16 MB pile up is cut off', () => {
    const { open, socket, sent } = rig();
    const peer = open();
    socket.bufferedAmount = 16_000_001;
    peer.send('frame');
    expect(sent).toEqual(['<cut>']);
  });

  test('pings and pongs go to open sockets that are not muted', () => {
    const { open, socket, pings } = rig();
    const peer = open();
    const both = (): void => {
      peer.ping();
      peer.pong(Buffer.from('x'));
    };
    both();
    peer.act({ action: 'mute' });
    both();
    peer.act({ action: 'unmute' });
    socket.readyState = 3;
    both();
    expect(pings).toEqual(['ping', 'pong x']);
  });

  test('closes with 1001 and no reason unless told otherwise', () => {
    const { open, sent } = rig();
    const peer = open();
    peer.act({ action: 'close' });
    peer.act({ action: 'close', code: 4001, reason: 'enough' });
    expect(sent).toEqual(['<closed 1001 >', '<closed 4001 enough>']);
  });
});
