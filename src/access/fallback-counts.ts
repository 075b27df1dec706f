/** Where servers share counts over Redis, the processes of one do without it while it is away. */
import type { SharedCounts } from './client-limiter-sharing.js';

export const countsWithFallback = (first: SharedCounts, second: SharedCounts): SharedCounts => ({
  get isUp() {
    return first.isUp || second.isUp;
  },
  add: (counted) => (first.isUp ? first : second).add(counted),
  async close() {
    await first.close();
    await second.close();
  },
});
