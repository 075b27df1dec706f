/** What the primary keeps of streams is bounded. */
import { afterEach, expect, test } from 'vitest';
import { LocalBusHost } from '../../../src/processes/local-bus-host.js';

let host: LocalBusHost | undefined;
afterEach(() => host?.close());

test('beyond its bytes the bus keeps fewer events of each stream, the latest always', () => {
  const bus = (host = new LocalBusHost({ now: () => 1, monotonic: () => 1, historyBytes: 1_000 }));
  const text = 'x'.repeat(100);
  const fences = ['a', 'b'].map((topic) => {
    const claim = bus.claim('1', topic, undefined);
    return claim.granted ? claim.fence : 0;
  });
  const kept = (topic: string) => bus.history(topic, undefined).length;
  let seq = 0;
  const publish = (topic: 'a' | 'b', count: number): void => {
    const fence = fences[topic === 'a' ? 0 : 1] ?? 0;
    for (let i = 0; i < count; i += 1) {
      const id = `${fence}-${(seq += 1)}`;
      bus.publish('1', topic, { fence, publications: [{ id, text }], keep: 50 });
      expect(kept('a') + kept('b')).toBeLessThanOrEqual(10);
    }
  };
  publish('a', 1);
  publish('b', 200);
  expect(kept('a')).toBe(1);
  expect(kept('b')).toBeGreaterThan(3);
  publish('a', 200);
  expect(kept('b')).toBe(1);
  expect(bus.history('a', undefined).at(-1)?.id).toBe(`${fences[0] ?? 0}-${seq}`);
});
