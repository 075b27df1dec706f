import { expect, test, vi } from 'vitest';
import { Slots } from '../../../src/lib/slots.js';

/** Work that ends when it is told to. */
const rig = (slots: Slots) => {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const run = (at: number): Promise<number> =>
    slots.run(async () => {
      begun.push(at);
      await new Promise<void>((resolve) => (ends[at] = resolve));
      return at;
    });
  return { begun, run, end: (at: number) => ends[at]?.() };
};

test('lets through so many at once, and the others in their order', async () => {
  const { begun, run, end } = rig(new Slots(2));
  const all = [0, 1, 2, 3].map(run);
  await vi.waitFor(() => expect(begun).toEqual([0, 1]));
  end(1);
  await vi.waitFor(() => expect(begun).toEqual([0, 1, 2]));
  end(0);
  await vi.waitFor(() => expect(begun).toEqual([0, 1, 2, 3]));
  [2, 3].forEach(end);
  expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
});

test('work that fails gives its slot to the next', async () => {
  const slots = new Slots(1);
  const failing = slots.run(() => Promise.reject(new Error('down')));
  const next = slots.run(() => Promise.resolve('up'));
  await expect(failing).rejects.toThrow('down');
  expect(await next).toBe('up');
});

test('who has waited too long is rejected without being begun, and who comes then has the slot', async () => {
  // Whoever waits at all has waited for longer than that.
  const { begun, run, end } = rig(new Slots(1, -1));
  const first = run(0);
  const late = run(1);
  await vi.waitFor(() => expect(begun).toEqual([0]));
  end(0);
  await expect(late).rejects.toThrow('Too much else is waiting.');
  expect(await first).toBe(0);
  const next = run(2);
  await vi.waitFor(() => expect(begun).toEqual([0, 2]));
  end(2);
  expect(await next).toBe(2);
});
