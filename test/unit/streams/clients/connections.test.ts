import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../../../src/log/log.js';
import { createConnections } from '../../../../src/streams/clients/connections.js';
import { createSharedEvent } from '../../../../src/streams/events.js';
import { FakePeer, FakeSocket } from './fake-client.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const registry = (maxConnections = 10) =>
  createConnections({
    maxConnections,
    heartbeatMs: 30_000,
    sandbox: false,
    now: Date.now,
    log: silentLog,
  });

const join = (connections: ReturnType<typeof registry>, kind: 'sse' | 'websocket' = 'sse') => {
  const socket = new FakeSocket();
  const peer = new FakePeer(kind === 'websocket');
  const connection = connections.admit(kind, socket, 'a');
  connection.attach(() => peer);
  return { socket, peer, connection };
};

test('one heartbeat event goes to all clients that have begun, as the same bytes', async () => {
  const connections = registry();
  const [a, b] = [join(connections), join(connections)];
  connections.admit('sse', new FakeSocket(), 'a');
  await vi.advanceTimersByTimeAsync(30_001);
  expect(a.socket.events).toMatchObject([{ event_type: 'heartbeat', timestamp: Date.now() - 1 }]);
  expect(a.socket.writes[0]).toBe(b.socket.writes[0]);
  expect(connections.stats()).toMatchObject({ sse: 3, opened: { sse: 2, websocket: 0 }, delivered: 2 });
});

test('heartbeats that a stuck reader cannot take replace each other', async () => {
  const connections = createConnections({
    maxConnections: 1,
    heartbeatMs: 1000,
    sandbox: false,
    now: Date.now,
    log: silentLog,
  });
  const { socket, connection } = join(connections);
  socket.stalled = true;
  connection.deliver(createSharedEvent({ type: 'reply', json: `{"x":"${'x'.repeat(70_000)}"}` }), null);
  await vi.advanceTimersByTimeAsync(5500);
  expect(connections.stats()).toMatchObject({ conflated: 4, dropped: 0 });
  await vi.advanceTimersByTimeAsync(6000);
  expect(connections.stats().dropped).toBe(1);
});

test('a slot is free again once its socket has closed', () => {
  const connections = registry(1);
  const { socket } = join(connections, 'websocket');
  expect(() => connections.admit('sse', new FakeSocket(), 'a')).toThrow(
    expect.objectContaining({ code: 'overloaded', retryAfterMs: 5000 }),
  );
  expect(connections.stats()).toMatchObject({ websocket: 1, refused: 1 });
  socket.destroy();
  expect(connections.admit('sse', new FakeSocket(), 'a').ended).toBe(false);
});

test('a clock that jumps ahead drops no client', async () => {
  const connections = registry();
  const { socket, connection } = join(connections, 'websocket');
  socket.stalled = true;
  connection.deliver(createSharedEvent({ type: 'reply', json: `{"x":"${'x'.repeat(70_000)}"}` }), null);
  await vi.advanceTimersByTimeAsync(6000);
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(1000);
  expect(connections.stats().dropped).toBe(0);
});

test('closing ends all with 1012, refuses new clients, and is done when the last socket has closed', async () => {
  const connections = registry();
  const clients = [join(connections), join(connections, 'websocket')];
  let closed = false;
  const closing = connections.close().then(() => (closed = true));
  expect(clients.map(({ peer }) => peer.ends[0]?.code)).toEqual([1012, 1012]);
  expect(() => connections.admit('sse', new FakeSocket(), 'a')).toThrow(
    expect.objectContaining({ code: 'shutting_down' }),
  );
  clients[0]!.socket.destroy();
  await vi.advanceTimersByTimeAsync(0);
  expect(closed).toBe(false);
  clients[1]!.socket.destroy();
  await closing;
  expect(vi.getTimerCount()).toBe(0);
});

test('a client that does not go is destroyed after 2 s', async () => {
  const connections = registry();
  const { socket } = join(connections);
  const closing = connections.close();
  await vi.advanceTimersByTimeAsync(2000);
  await closing;
  expect(socket.destroyed).toBe(true);
  expect(connections.stats().sse).toBe(0);
});

test('closing without clients is done at once, and twice is once', async () => {
  const connections = registry();
  expect(connections.close()).toBe(connections.close());
  await connections.close();
  expect(vi.getTimerCount()).toBe(0);
});

test('a stream that was being opened when the closing began is refused', async () => {
  const connections = registry();
  const late = connections.admit('sse', new FakeSocket(), 'a');
  await connections.close();
  expect(() => {
    late.attach(() => new FakePeer(false));
  }).toThrow(expect.objectContaining({ code: 'shutting_down' }));
  expect(connections.stats().sse).toBe(0);
});

test('one client gets so many slots and no more, others get theirs, and a slot is released once', () => {
  const connections = createConnections({
    maxConnections: 10,
    maxPerClient: 2,
    heartbeatMs: 30_000,
    sandbox: false,
    now: Date.now,
    log: silentLog,
  });
  const first = connections.admit('sse', new FakeSocket(), 'a');
  connections.admit('websocket', new FakeSocket(), 'a');
  const one = () => connections.admit('sse', new FakeSocket(), 'a');
  expect(one).toThrow(expect.objectContaining({ code: 'stream_limit_reached', retryAfterMs: 5_000 }));
  connections.admit('sse', new FakeSocket(), 'b');
  first.abandon();
  first.abandon();
  one();
  expect(one).toThrow(expect.objectContaining({ code: 'stream_limit_reached' }));
  expect(connections.stats()).toMatchObject({ sse: 2, websocket: 1, refused: 2 });
  void connections.close();
});
