import { LRUCache } from 'lru-cache';

/**
 * At most `max` entries: one more drops the one that was used least recently. For large bounds that are seldom reached: by
 * a size of one each, lru-cache grows with what it holds, where `max` makes lists of that length at once (10,000: a
 * millisecond of each start).
 */
export const leastRecent = <V extends object | string>(max: number): LRUCache<string, V> =>
  new LRUCache({ maxSize: max, sizeCalculation: () => 1 });
