/** What becomes of a connection whose process dies before it has taken it. */
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { HandedConnections, type Receiver } from '../../../src/processes/handed-connections.js';

class FakeProcess extends EventEmitter implements Receiver {
  connected = true;
  readonly sent: { readonly message: { seq: number; key: string }; readonly handle: unknown }[] = [];
  send = (message: unknown, handle?: unknown): boolean => {
    this.sent.push({ message: message as { seq: number; key: string }, handle });
    return true;
  };
  takes(ack: number): void {
    this.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted: true });
  }
  dies(): void {
    this.connected = false;
    this.emit('exit');
  }
}

const connection = () => {
  const handle = { isClosed: false, close: () => void (handle.isClosed = true) };
  return handle;
};
const newConnection = (seq: number) => ({ cmd: 'NODE_CLUSTER', act: 'newconn', key: 'port', seq });

const start = () => {
  const connections = new HandedConnections();
  const [a, b] = [new FakeProcess(), new FakeProcess()];
  for (const each of [a, b]) connections.watch(each);
  return { a, b };
};

test('a connection that the dead process had not taken goes to another one, and is closed here once that has it', () => {
  const { a, b } = start();
  const [taken, waiting] = [connection(), connection()];
  a.send(newConnection(1), taken);
  a.takes(1);
  a.send(newConnection(2), waiting);
  a.dies();
  expect(b.sent.map(({ message, handle }) => ({ key: message.key, handle }))).toEqual([
    { key: 'port', handle: waiting },
  ]);
  expect(waiting.isClosed).toBe(false);
  b.takes(b.sent[0]?.message.seq ?? 0);
  expect(waiting.isClosed).toBe(true);
  // That is for node:cluster to close.
  expect(taken.isClosed).toBe(false);
});

test('one that is handed on to a process that dies too goes to the next, and is closed where there is none', () => {
  const { a, b } = start();
  const waiting = connection();
  a.send(newConnection(1), waiting);
  a.dies();
  b.dies();
  expect(waiting.isClosed).toBe(true);
});

test('other messages pass', () => {
  const { a, b } = start();
  a.send({ type: 'end' });
  a.send({ cmd: 'NODE_CLUSTER', act: 'disconnect', seq: 4 });
  a.dies();
  expect(a.sent).toHaveLength(2);
  expect(b.sent).toEqual([]);
});
