import { describe, expect, test } from 'vitest';
import { MAX_DUE_EVENTS, MAX_ORDERED_BACKLOG } from '../../../../src/streams/clients/limits.js';
import { TopicReader } from '../../../../src/streams/clients/connection.js';
import { WriteBatcher, Outbox, type ClientSocket } from '../../../../src/streams/clients/outbox.js';
import { createSharedEvent } from '../../../../src/streams/events.js';
import { tickerEvent, tradesEvent } from '../../../support/fake-hub.js';
import { ManualTurn, connect } from './fake-client.js';

/** An event so large that the next look finds the socket full. */
const bulky = createSharedEvent({ type: 'reply', json: JSON.stringify({ filler: 'x'.repeat(70_000) }) });

const topic = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;

/** A connection with one subscription whose socket has just filled up. */
const stalled = (kind: 'sse' | 'websocket' = 'sse', sandbox = false) => {
  const all = connect(kind);
  const reader = new TopicReader(all.connection, topic, { sandbox });
  reader.release();
  all.socket.stalled = true;
  all.connection.deliver(bulky, null);
  all.host.turn.end();
  return { ...all, reader };
};

describe('while the reader keeps up', () => {
  test('everything due within one turn leaves in one write, in order', () => {
    const { connection, host, socket } = connect();
    for (let last = 1; last <= 4; last += 1) connection.deliver(tickerEvent({ last }), null);
    expect(socket.writes).toHaveLength(0);
    host.turn.end();
    expect(socket.writes).toHaveLength(1);
    expect(socket.events.map(({ last }) => last)).toEqual([1, 2, 3, 4]);
    expect(host.counters.delivered).toBe(4);
  });

  test('one event is written as the very bytes that all clients share', () => {
    const { connection, host, socket } = connect();
    const event = tickerEvent();
    connection.deliver(event, null);
    host.turn.end();
    expect(socket.writes[0]).toBe(event.sse);
  });

  test('an unusually long turn does not collect events without bound', () => {
    const { connection, socket } = connect();
    for (let last = 0; last < MAX_DUE_EVENTS + 1; last += 1) connection.deliver(tickerEvent({ last }), null);
    expect(socket.writes).toHaveLength(1);
  });

  test('a socket that has ended is not written to', () => {
    const { connection, host, socket } = connect();
    connection.deliver(tickerEvent(), null);
    socket.writable = false;
    host.turn.end();
    expect(socket.writes).toHaveLength(0);
  });
});

describe('while the reader is slow', () => {
  test('nothing is written, tickers are conflated to the latest, and the latest follows the drain', () => {
    const { socket, host, reader } = stalled();
    for (let last = 1; last <= 1000; last += 1) {
      reader.onEvent(tickerEvent({ last }));
      host.turn.end();
    }
    expect(socket.writes).toHaveLength(1);
    expect(socket.waiting).toBe(1);
    expect(host.counters.conflated).toBe(999);
    socket.drain();
    expect(socket.events.slice(1)).toMatchObject([{ last: 1000 }]);
    reader.onEvent(tickerEvent({ last: 1001 }));
    host.turn.end();
    expect(socket.events.at(-1)).toMatchObject({ last: 1001 });
  });

  test('subscriptions are conflated apart, even where their events share a key', () => {
    const { socket, connection, reader } = stalled();
    const other = new TopicReader(connection, { ...topic, symbol: 'ETH/USDT' }, { sandbox: false });
    other.release();
    reader.onEvent(tickerEvent({ last: 1 }));
    other.onEvent(tickerEvent({ symbol: 'ETH/USDT', last: 2 }));
    reader.onEvent(tickerEvent({ last: 3 }));
    socket.drain();
    expect(socket.events.slice(1).map(({ last }) => last)).toEqual([2, 3]);
  });

  test('trades are kept up to a bound; what is lost beyond it is told in trades, then the stream goes on', () => {
    const { socket, host, connection } = stalled('sse', true);
    const trades = new TopicReader(connection, { ...topic, channel: 'trades' }, { sandbox: true });
    trades.release();
    for (let i = 0; i < MAX_ORDERED_BACKLOG; i += 1) trades.onEvent(tradesEvent([`kept-${i}`]));
    trades.onEvent(tradesEvent(['lost-1', 'lost-2']));
    trades.onEvent(tradesEvent(['lost-3']));
    host.time = 99;
    socket.drain();
    trades.onEvent(tradesEvent(['after']));
    host.turn.end();
    const events = socket.events.slice(1);
    expect(events).toHaveLength(MAX_ORDERED_BACKLOG + 2);
    expect(events.at(-2)).toEqual({
      event_type: 'lost',
      channel: 'trades',
      exchange: 'binance',
      symbol: 'BTC/USDT',
      count: 3,
      timestamp: 99,
      sandbox: true,
    });
    expect(events.at(-1)).toMatchObject({ trades: [{ trade_id: 'after' }] });
    expect(host.counters.lost).toBe(3);
  });

  test('closed candles that are lost are told in candles', () => {
    const { socket, connection } = stalled();
    const candles = new TopicReader(
      connection,
      { ...topic, channel: 'ohlcv', interval: '1m' },
      { sandbox: false },
    );
    candles.release();
    const event = createSharedEvent({ type: 'ohlcv', json: '{"event_type":"ohlcv","candles":[{},{}]}' });
    for (let i = 0; i <= MAX_ORDERED_BACKLOG; i += 1) candles.onEvent(event);
    socket.drain();
    expect(socket.events.at(-1)).toMatchObject({
      event_type: 'lost',
      channel: 'ohlcv',
      interval: '1m',
      count: 2,
    });
  });

  test.each([
    ['holds neither counts as one', {}, 1],
    ['is a notice of seven lost ones counts as seven', { event_type: 'lost', count: 7 }, 7],
  ])('a lost event that %s', (_what, contents, count) => {
    const { socket, connection, reader } = stalled();
    for (let i = 0; i < MAX_ORDERED_BACKLOG; i += 1) connection.deliver(tradesEvent(['x']), reader);
    connection.deliver(createSharedEvent({ type: 'trades', json: JSON.stringify(contents) }), reader);
    socket.drain();
    expect(socket.events.at(-1)).toMatchObject({ event_type: 'lost', count });
  });

  test('a backlog larger than the socket takes leaves in parts', () => {
    const { socket, connection } = stalled();
    const filler = 'x'.repeat(20_000);
    for (let i = 0; i < 10; i += 1)
      connection.deliver(createSharedEvent({ type: 'reply', json: JSON.stringify({ i, filler }) }), null);
    socket.drain();
    socket.stalled = true;
    expect(socket.writes.length).toBeGreaterThan(3);
    expect(socket.events.slice(1).map(({ i }) => i)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('a backlog stops where the socket is full again and goes on after the next drain', () => {
    const { socket, connection } = stalled();
    const filler = 'x'.repeat(20_000);
    for (let i = 0; i < 10; i += 1)
      connection.deliver(createSharedEvent({ type: 'reply', json: JSON.stringify({ i, filler }) }), null);
    const take = socket.write.bind(socket);
    socket.write = (bytes) => {
      socket.stalled = true;
      return take(bytes);
    };
    for (let drains = 1; socket.events.length < 11; drains += 1) {
      expect(drains).toBeLessThan(10);
      socket.drain();
      expect(socket.writableLength).toBeLessThan(160_000);
    }
    expect(socket.events.slice(1).map(({ i }) => i)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('replies that do not fit into the backlog end the connection, since they may be neither dropped nor conflated', () => {
    const { host, peer, connection } = stalled();
    const reply = createSharedEvent({ type: 'reply', json: '{}' });
    for (let i = 0; i <= MAX_ORDERED_BACKLOG; i += 1) connection.deliver(reply, null);
    expect(host.drops).toEqual([connection]);
    expect(peer.ends).toEqual([{ code: 1013, reason: 'The reader did not keep up.' }]);
  });
});

test('replies that are not read are bounded in bytes, not only in number', () => {
  const { connection, socket } = stalled('websocket');
  const reply = createSharedEvent({ type: 'reply', json: JSON.stringify({ list: 'x'.repeat(20_000) }) });
  let sent = 0;
  while (!connection.ended && sent < 256) {
    connection.deliver(reply, null);
    sent += 1;
  }
  expect(connection.ended).toBe(true);
  expect(sent).toBeLessThan(30);
  socket.destroy();
});

test('what was due before a reader began to lag is written ahead of what was held back since', () => {
  const written: string[] = [];
  const socket: ClientSocket = {
    writable: true,
    destroyed: false,
    writableLength: 0,
    write: (bytes) => written.push(String(bytes)) > 0,
    once: () => undefined,
    off: () => undefined,
    destroy: () => undefined,
  };
  let endTurn = (): void => undefined;
  const outbox = new Outbox(socket, 'sse', {
    batcher: new WriteBatcher((run) => (endTurn = run)),
    now: () => 0,
    monotonic: () => 0,
    counters: { delivered: 0, conflated: 0, lost: 0 },
  });
  outbox.push(tickerEvent({ last: 1 }), null);
  outbox.lag();
  outbox.push(tickerEvent({ last: 2 }), null);
  outbox.caughtUp();
  endTurn();
  expect([...written.join('').matchAll(/"last":(\d+)/g)].map(([, last]) => last)).toEqual(['1', '2']);
});

describe('what is collected in a turn', () => {
  test('clients that are due the same events share one buffer within a turn, and none after it', () => {
    const turn = new ManualTurn();
    const batcher = new WriteBatcher(turn.schedule);
    const events = [tickerEvent({ last: 1 }), tickerEvent({ last: 2 })];
    const seen: Buffer[] = [];
    const client = { flush: () => void seen.push(batcher.join([...events], 'frame')) };
    batcher.add(client);
    batcher.add(client);
    turn.end();
    batcher.add(client);
    turn.end();
    expect(seen[0]).toBe(seen[1]);
    expect(seen[2]).not.toBe(seen[0]);
    expect(seen[2]!.equals(seen[0]!)).toBe(true);
  });

  test('other events, another order or another wire are not mixed up', () => {
    const batcher = new WriteBatcher(() => undefined);
    const [a, b, c] = [tickerEvent({ last: 1 }), tickerEvent({ last: 2 }), tickerEvent({ last: 3 })];
    const ab = batcher.join([a, b], 'frame');
    expect(batcher.join([b, a], 'frame').equals(Buffer.concat([b.frame, a.frame]))).toBe(true);
    expect(batcher.join([a, b, c], 'frame').equals(Buffer.concat([a.frame, b.frame, c.frame]))).toBe(true);
    expect(batcher.join([a, b], 'sse').equals(Buffer.concat([a.sse, b.sse]))).toBe(true);
    expect(ab.equals(Buffer.concat([a.frame, b.frame]))).toBe(true);
  });

  test('by default a turn ends with the event loop’s', async () => {
    const flushed = new Promise<void>((resolve) => {
      new WriteBatcher().add({ flush: resolve });
    });
    await expect(flushed).resolves.toBeUndefined();
  });
});
