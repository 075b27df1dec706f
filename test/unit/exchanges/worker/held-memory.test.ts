import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { watchHeldMemory } from '../../../../src/exchanges/worker/held-memory.js';

const MB = 1024 * 1024;
/** As numbers in an array, which V8 keeps in its heap. */
const take = (megabytes: number): number[] => new Array<number>((megabytes * MB) / 8).fill(0.5);

test('what a thread holds counts, and garbage does not', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const memory = watchHeldMemory();
  onTestFinished(() => memory.close());
  const collected = async (): Promise<number> => {
    let last = NaN;
    collect();
    // What an observer is told comes in a later turn.
    await expect
      .poll(() => {
        const before = last;
        last = memory.bytes();
        return last - before;
      })
      .toBe(0);
    return last;
  };
  const before = await collected();
  const held = take(64);
  const garbage = [take(64)];
  expect((await collected()) - before).toBeGreaterThan(127 * MB);
  garbage.pop();
  const withoutGarbage = await collected();
  expect(withoutGarbage - before).toBeGreaterThan(60 * MB);
  expect(withoutGarbage - before).toBeLessThan(80 * MB);
  take(64);
  expect(memory.bytes() - withoutGarbage).toBeLessThan(MB);
  expect(held).toHaveLength(8 * MB);
});
