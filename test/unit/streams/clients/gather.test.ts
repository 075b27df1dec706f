import { expect, test } from 'vitest';
import { Gather } from '../../../../src/streams/clients/gather.js';
import { tickerEvent } from '../../../support/fake-hub.js';
import { ManualTurn } from './fake-client.js';

test('clients that are due the same events share one buffer within a turn, and none after it', () => {
  const turn = new ManualTurn();
  const gather = new Gather(turn.schedule);
  const events = [tickerEvent({ last: 1 }), tickerEvent({ last: 2 })];
  const seen: Buffer[] = [];
  const client = { flush: () => void seen.push(gather.join([...events], 'frame')) };
  gather.add(client);
  gather.add(client);
  turn.end();
  gather.add(client);
  turn.end();
  expect(seen[0]).toBe(seen[1]);
  expect(seen[2]).not.toBe(seen[0]);
  expect(seen[2]!.equals(seen[0]!)).toBe(true);
});

test('other events, another order or another wire are not mixed up', () => {
  const gather = new Gather(() => undefined);
  const [a, b, c] = [tickerEvent({ last: 1 }), tickerEvent({ last: 2 }), tickerEvent({ last: 3 })];
  const ab = gather.join([a, b], 'frame');
  expect(gather.join([b, a], 'frame').equals(Buffer.concat([b.frame, a.frame]))).toBe(true);
  expect(gather.join([a, b, c], 'frame').equals(Buffer.concat([a.frame, b.frame, c.frame]))).toBe(true);
  expect(gather.join([a, b], 'sse').equals(Buffer.concat([a.sse, b.sse]))).toBe(true);
  expect(ab.equals(Buffer.concat([a.frame, b.frame]))).toBe(true);
});

test('by default a turn ends with the event loop’s', async () => {
  const flushed = new Promise<void>((resolve) => {
    new Gather().add({ flush: resolve });
  });
  await expect(flushed).resolves.toBeUndefined();
});
