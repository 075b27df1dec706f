import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { latest, streamRig, TRADES } from './fake-socket.js';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

test('a reader that iterates gets each event, and the end with the client', async () => {
  const { stream } = streamRig();
  const iterator = stream.iterate({ channel: 'health' });
  latest().accept();
  const next = iterator.next();
  latest().say({ event_type: 'health', version: '1' });
  expect((await next).value).toMatchObject({ version: '1' });
  const last = iterator.next();
  stream.close();
  expect(await last).toEqual({ done: true, value: undefined });
  expect(vi.getTimerCount()).toBe(0);
  expect(() => stream.iterate({ channel: 'health' })).toThrow('closed');
});

test('a reader that iterates over what is refused is told so', async () => {
  const { stream } = streamRig();
  const iterator = stream.iterate(TRADES);
  latest().accept();
  const next = iterator.next();
  latest().drop(1008);
  await expect(next).rejects.toThrow('refused');
});

test('a reader that iterates may ask for two events at once, and keeps 10,000 at most', async () => {
  const { stream } = streamRig();
  const iterator = stream.iterate({ channel: 'health' });
  latest().accept();
  const [one, two] = [iterator.next(), iterator.next()];
  const say = (version: number) => latest().say({ event_type: 'health', version });
  say(1);
  say(2);
  expect([(await one).value, (await two).value]).toMatchObject([{ version: 1 }, { version: 2 }]);
  for (let version = 0; version < 10_001; version += 1) say(version);
  expect(latest().isClosed).toBe(true);
  for (let version = 0; version < 10_000; version += 1)
    expect((await iterator.next()).value).toMatchObject({ version });
  await expect(iterator.next()).rejects.toThrow('keep up');
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
  expect(vi.getTimerCount()).toBe(0);
});

test('a reader that leaves its loop leaves the subscription', async () => {
  const { stream } = streamRig();
  const events = stream.iterate({ channel: 'health' });
  latest().accept();
  for (let version = 0; version < 3; version += 1) latest().say({ event_type: 'health', version });
  for await (const event of events) {
    expect(event).toMatchObject({ version: 0 });
    break;
  }
  expect(latest().isClosed).toBe(true);
  expect(await events.next()).toMatchObject({ done: true });
  stream.close();
});
