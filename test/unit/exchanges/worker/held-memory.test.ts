import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { watchHeldMemory } from '../../../../src/exchanges/worker/held-memory.js';

const isOfAllGarbage = (
  entry: PerformanceEntry & { readonly detail?: { readonly kind?: number } },
): boolean => entry.detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;

const MB = 1024 * 1024;
/** As numbers in an array, which V8 keeps in its heap. */
const take = (megabytes: number): number[] => new Array<number>((megabytes * MB) / 8).fill(0.5);

test('what a thread holds counts, and garbage does not', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const memory = watchHeldMemory();
  onTestFinished(() => memory.close());
  /** What it says once it has been told of a collection: observers are told in the order in which they began. */
  const collected = (): Promise<number> =>
    new Promise((resolve) => {
      const observer = new PerformanceObserver((list) => {
        if (!list.getEntries().some(isOfAllGarbage)) return;
        observer.disconnect();
        resolve(memory.bytes());
      });
      observer.observe({ entryTypes: ['gc'] });
      collect();
      // A loop with nothing to do does not turn for what is told of collections.
      setImmediate(() => undefined);
    });
  // Of this process, which other tests share: what the first leaves the second may find.
  await collected();
  const before = await collected();
  const held = take(64);
  const garbage = [take(64)];
  expect((await collected()) - before).toBeGreaterThan(112 * MB);
  garbage.pop();
  const withoutGarbage = await collected();
  expect(withoutGarbage - before).toBeGreaterThan(48 * MB);
  expect(withoutGarbage - before).toBeLessThan(80 * MB);
  take(64);
  expect(memory.bytes() - withoutGarbage).toBeLessThan(16 * MB);
  expect(held).toHaveLength(8 * MB);
});
