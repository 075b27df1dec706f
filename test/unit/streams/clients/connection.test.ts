import { describe, expect, test } from 'vitest';
import { Connection } from '../../../../src/streams/clients/connection.js';
import { createSharedEvent } from '../../../../src/streams/events.js';
import { tickerEvent } from '../../../support/fake-hub.js';
import { connect, FakeHost, FakePeer, FakeSocket } from './fake-client.js';

const bulky = createSharedEvent({ type: 'reply', json: JSON.stringify({ filler: 'x'.repeat(70_000) }) });

/** Sweeps once a second up to `until` (ms), as the registry does. */
const sweepTo = ({ host, connection }: { host: FakeHost; connection: Connection }, until: number): void => {
  while (host.time < until) {
    host.time += 1000;
    connection.sweep(host.time, 0);
  }
};

describe('a reader whose socket stays full', () => {
  test('is dropped with 1013 after 10 s, not before, and destroyed 2 s later', () => {
    const all = connect();
    const { connection, socket, host, peer } = all;
    socket.stalled = true;
    connection.deliver(bulky, null);
    host.turn.end();
    sweepTo(all, 9000);
    expect(host.drops).toEqual([]);
    sweepTo(all, 10_000);
    expect(host.drops).toEqual([connection]);
    expect(peer.ends).toMatchObject([{ code: 1013 }]);
    sweepTo(all, 11_000);
    expect(socket.destroyed).toBe(false);
    sweepTo(all, 12_000);
    expect(socket.destroyed).toBe(true);
    expect(host.releases).toEqual([connection]);
  });

  test('is not dropped while it drains now and then', () => {
    const all = connect();
    const { connection, socket, host } = all;
    for (let round = 1; round <= 4; round += 1) {
      socket.stalled = true;
      connection.deliver(bulky, null);
      host.turn.end();
      sweepTo(all, round * 8000);
      socket.drain();
    }
    expect(host.drops).toEqual([]);
  });

  test('is not blamed for the time in which this process was blocked', () => {
    const { connection, socket, host } = connect();
    socket.stalled = true;
    connection.deliver(bulky, null);
    host.turn.end();
    host.time = 15_000;
    connection.sweep(host.time, 14_000);
    expect(host.drops).toEqual([]);
  });
});

describe('a WebSocket client', () => {
  test('is pinged 5 s after it was written to, and after 30 s without', () => {
    const all = connect('websocket');
    sweepTo(all, 29_000);
    expect(all.peer.pinged).toBe(0);
    sweepTo(all, 30_000);
    expect(all.peer.pinged).toBe(1);
    all.connection.pong();
    all.connection.deliver(tickerEvent(), null);
    all.host.turn.end();
    sweepTo(all, 34_000);
    expect(all.peer.pinged).toBe(1);
    sweepTo(all, 35_000);
    expect(all.peer.pinged).toBe(2);
  });

  test('counts as slow once its pong is 3 s overdue: conflated until the pong, then brought up to date', () => {
    const all = connect('websocket');
    const { connection, socket, host } = all;
    sweepTo(all, 33_000);
    for (let last = 1; last <= 3; last += 1) connection.deliver(tickerEvent({ last }), null);
    host.turn.end();
    expect(socket.writes).toHaveLength(0);
    connection.pong();
    expect(socket.events).toMatchObject([{ last: 3 }]);
    connection.deliver(tickerEvent({ last: 4 }), null);
    host.turn.end();
    expect(socket.events).toMatchObject([{ last: 3 }, { last: 4 }]);
  });

  test('with a late pong and a full socket is written to only when both are over', () => {
    const all = connect('websocket');
    const { connection, socket, host } = all;
    socket.stalled = true;
    connection.deliver(bulky, null);
    host.turn.end();
    sweepTo(all, 9000);
    connection.deliver(tickerEvent({ last: 1 }), null);
    socket.drain();
    expect(socket.events).toHaveLength(1);
    connection.pong();
    expect(socket.events).toHaveLength(2);
  });

  test('is dropped with 1013 when its pong is 10 s overdue', () => {
    const all = connect('websocket');
    sweepTo(all, 39_000);
    expect(all.host.drops).toEqual([]);
    sweepTo(all, 40_000);
    expect(all.host.drops).toEqual([all.connection]);
    expect(all.peer.ends).toMatchObject([{ code: 1013 }]);
  });

  test('is not blamed for a pong that waited while this process was blocked', () => {
    const all = connect('websocket');
    sweepTo(all, 30_000);
    all.connection.sweep(50_000, 19_000);
    expect(all.host.drops).toEqual([]);
  });
});

test('an event stream is never pinged', () => {
  const all = connect('sse');
  sweepTo(all, 120_000);
  expect(all.peer.pinged).toBe(0);
  expect(all.host.drops).toEqual([]);
});

describe('the end', () => {
  test('by the server: what is due, then the reason; onEnd and the release once each', () => {
    const { connection, socket, host, peer } = connect();
    let ended = 0;
    connection.onEnd = () => (ended += 1);
    connection.deliver(tickerEvent(), null);
    connection.close(1012, 'over');
    connection.close(1008, 'again');
    expect(socket.events).toHaveLength(1);
    expect(peer.ends).toEqual([{ code: 1012, reason: 'over' }]);
    connection.deliver(tickerEvent(), null);
    host.turn.end();
    expect(socket.events).toHaveLength(1);
    expect(host.releases).toEqual([]);
    socket.destroy();
    expect(host.releases).toEqual([connection]);
    expect(ended).toBe(1);
  });

  test('by the client: onEnd and the release once each, and nothing is written afterwards', () => {
    const { connection, socket, host } = connect();
    let ended = 0;
    connection.onEnd = () => (ended += 1);
    connection.deliver(tickerEvent(), null);
    socket.destroy();
    host.turn.end();
    connection.abandon();
    connection.sweep(60_000, 0);
    connection.pong();
    expect({ ended, releases: host.releases.length, writes: socket.writes.length }).toEqual({
      ended: 1,
      releases: 1,
      writes: 0,
    });
  });

  test('before the stream began releases the slot at once, and a late start does nothing', () => {
    const host = new FakeHost();
    const socket = new FakeSocket();
    const connection = new Connection('sse', socket, host);
    connection.sweep(60_000, 0);
    connection.close(1012, 'over');
    expect(host.releases).toEqual([connection]);
    connection.attach(() => new FakePeer(false));
    connection.deliver(tickerEvent(), null);
    expect(host.attachments).toEqual([]);
  });

  test('of a socket whose close was over before the admission releases the slot as well', async () => {
    const host = new FakeHost();
    const socket = new FakeSocket();
    socket.destroy();
    const connection = new Connection('websocket', socket, host);
    await Promise.resolve();
    expect(host.releases).toEqual([connection]);
    connection.attach(() => new FakePeer(true));
    expect(host.attachments).toEqual([]);
    expect(connection.ended).toBe(true);
  });

  test('where the stream cannot be opened releases the slot and passes the reason on', () => {
    const host = new FakeHost();
    const connection = new Connection('sse', new FakeSocket(), host);
    expect(() => {
      connection.attach(() => {
        throw new Error('no socket');
      });
    }).toThrow('no socket');
    expect(host.releases).toEqual([connection]);
  });
});
