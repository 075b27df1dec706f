/**
 * Runs before and after each file of the unit and API tests, which share processes (vitest.config.ts): a file that
 * leaves a fake clock to the next one fails.
 */
import { afterAll, vi } from 'vitest';
// Its origin is the wall clock's time when it is first imported: not in the middle of a test with a fake clock.
import '../../src/lib/steady-clock.js';

const clock = () => [Date, Date.now, setTimeout, setInterval, setImmediate, process.hrtime] as const;
const before = clock();

afterAll(() => {
  const wasLeft = vi.isFakeTimers() || clock().some((part, index) => part !== before[index]);
  vi.useRealTimers();
  if (wasLeft) throw new Error('This file leaves a fake clock to the next one: restore it in afterEach.');
});
