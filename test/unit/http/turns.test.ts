import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turns, type WaitingConnection } from '../../../src/http/connections/turns.js';

/** A connection with so many requests; `handled` gets its name for each. */
const connection = (name: string, requests: number, handled: string[]): WaitingConnection => ({
  handleOne() {
    handled.push(name);
    requests -= 1;
    return requests > 0;
  },
});

test('connections are served round-robin, 32 requests a turn of the event loop', async () => {
  const handled: string[] = [];
  const turns = new Turns();
  turns.join(connection('a', 100, handled));
  turns.join(connection('b', 3, handled));
  expect(handled).toEqual([]);
  await turn();
  expect(handled).toHaveLength(32);
  expect(handled.slice(0, 8).join('')).toBe('abababaa');
  await turn();
  expect(handled).toHaveLength(64);
  for (let i = 0; i < 3; i += 1) await turn();
  expect(handled).toHaveLength(103);
});

test('who has left is not served, and the others are', async () => {
  const handled: string[] = [];
  const turns = new Turns();
  const [a, b] = [connection('a', 5, handled), connection('b', 1, handled)];
  turns.join(a);
  turns.join(b);
  turns.leave(a);
  await turn();
  expect(handled).toEqual(['b']);
  turns.join(a);
  turns.leave(a);
  turns.leave(a);
  await turn();
  expect(handled).toEqual(['b']);
});
