import { expect, test } from 'vitest';
import { ServerClock } from '../../../../web/client/server-clock.js';
import { latest, streamRig } from './fake-socket.js';

const SERVER = 1_795_000_000_000;

test('the time is the median of the latest readings, whatever the clock here says', () => {
  let now = 1000;
  const clock = new ServerClock(() => now);
  expect(clock.time).toBeNull();
  // A round trip of 20 ms each; one answer was late by a second.
  for (const late of [0, 2, 1000, 1, 3]) {
    const sentAt = now;
    now += 20;
    clock.read(sentAt, SERVER + now - 10 - late);
  }
  expect(clock.isVague).toBe(false);
  expect(clock.time).toBe(SERVER + now - 2);
  now += 5000;
  expect(clock.time).toBe(SERVER + now - 2);
});

test('the first reading of a new connection takes the place of the earlier ones, an answer without a time of none', () => {
  const clock = new ServerClock(() => 0);
  for (let reading = 0; reading < 5; reading += 1) clock.read(0, SERVER);
  clock.reset();
  clock.read(0, Number.NaN);
  expect(clock.time).toBe(SERVER);
  clock.read(0, SERVER + 60_000);
  expect(clock.time).toBe(SERVER + 60_000);
  expect(clock.isVague).toBe(true);
});

test('a socket asks for the time as soon as it is open', () => {
  const { stream } = streamRig();
  stream.subscribe({ channel: 'health' }, { onEvent: () => undefined });
  latest().accept();
  const [{ req_id }] = latest().pings as [{ req_id: string }];
  expect(stream.serverTime()).toBeNull();
  latest().say({ event_type: 'reply', method: 'ping', req_id, success: true, timestamp: SERVER });
  expect(Math.abs((stream.serverTime() ?? 0) - SERVER)).toBeLessThan(1000);
  stream.close();
});
