import { describe, expect, it } from 'vitest';
import { createMemoryCache } from '../../../src/cache/memory-cache.js';
import { createTieredCache } from '../../../src/cache/tiered-cache.js';
import { entryOf } from '../../support/cache-entries.js';

const now = (): number => 1_000;

describe('memory', () => {
  it('stays within its bound of bytes, and lets go of what was used longest ago', () => {
    const cache = createMemoryCache({ maxBytes: 10_000, now });
    for (let i = 0; i < 100; i++) {
      cache.put(`k${i}`, entryOf('x'.repeat(1_000), 1_000));
      cache.peek('k0');
    }
    const { bytes, entries, evictions, maxBytes } = cache.stats();
    expect(bytes).toBeLessThanOrEqual(10_000);
    expect(maxBytes).toBe(10_000);
    expect(entries).toBeGreaterThan(3);
    expect(evictions).toBe(100 - entries);
    expect(cache.peek('k0')).toBeDefined();
    expect(cache.peek('k99')).toBeDefined();
    expect(cache.peek('k50')).toBeUndefined();
  });

  it('does not keep what is larger than all of it, nor throw the rest out for it', () => {
    const cache = createMemoryCache({ maxBytes: 10_000, now });
    cache.put('small', entryOf('x', 1_000));
    cache.put('huge', entryOf('x'.repeat(20_000), 1_000));
    expect(cache.peek('huge')).toBeUndefined();
    expect(cache.peek('small')).toBeDefined();
  });

  it('counts an entry that is replaced once, and no eviction', () => {
    const cache = createMemoryCache({ maxBytes: 10_000, now });
    for (let i = 0; i < 50; i++) cache.put('k', entryOf('x'.repeat(1_000), 1_000));
    expect(cache.stats()).toMatchObject({ entries: 1, evictions: 0 });
    expect(cache.stats().bytes).toBeLessThan(2_000);
  });

  it('lets go of an answer from an hour later once the clock is set back, and keeps one within the skew of servers', () => {
    const clock = { at: 3_600_000 };
    const cache = createMemoryCache({ maxBytes: 10_000, now: () => clock.at });
    cache.put('k', entryOf('x', clock.at));
    clock.at -= 1_000;
    expect(cache.peek('k')).toBeDefined();
    clock.at -= 1;
    expect(cache.peek('k')).toBeUndefined();
    expect(cache.stats().entries).toBe(0);
  });

  it('gives the very same object at each reading', () => {
    const cache = createMemoryCache({ maxBytes: 10_000, now });
    const entry = entryOf('x', 1_000);
    cache.put('k', entry);
    expect(cache.peek('k')).toBe(entry);
  });
});

describe('memory alone', () => {
  it('says that it is, and that this is no fault', async () => {
    const cache = createTieredCache({
      memory: createMemoryCache({ maxBytes: 10_000, now }),
      redis: null,
      now,
    });
    expect(cache.health()).toEqual({
      state: 'disabled',
      detail: 'Memory only; Redis is turned off.',
      since: 1_000,
    });
    expect(cache.stats().shared).toBeNull();
    const claim = await cache.claim('k', { deadline: 2_000 });
    expect(claim.fresh).toBeUndefined();
    claim.release();
    await cache.close();
  });
});
