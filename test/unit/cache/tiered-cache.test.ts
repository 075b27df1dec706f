/** Memory over a shared tier that the test plays. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheEntry } from '../../../src/cache/cache-entry.js';
import { createMemoryCache } from '../../../src/cache/memory-cache.js';
import { LOAD_CLAIM_MS } from '../../../src/cache/shared-load.js';
import type { LoadClaim, SharedTier } from '../../../src/cache/shared-tier.js';
import { createTieredCache, type TieredCache } from '../../../src/cache/tiered-cache.js';
import { entryOf } from '../../support/cache-entries.js';

const T = 1_700_000_000_000;
interface FakeTier extends SharedTier {
  held: Map<string, CacheEntry>;
  gets: number;
  claims: number;
  released: number;
  distrusted: number;
  /** What the next claim finds. */
  next: () => LoadClaim;
}
const fakeTier = (): FakeTier => {
  const held = new Map<string, CacheEntry>();
  const tier: FakeTier = {
    held,
    gets: 0,
    claims: 0,
    released: 0,
    distrusted: 0,
    next: (): LoadClaim => ({ state: 'mine', entry: undefined, release: () => void (tier.released += 1) }),
    get(key: string) {
      tier.gets += 1;
      return Promise.resolve(held.get(key));
    },
    set(key: string, entry: CacheEntry) {
      held.set(key, entry);
      return Promise.resolve();
    },
    claim() {
      tier.claims += 1;
      return Promise.resolve(tier.next());
    },
    distrustClaims: () => void (tier.distrusted += 1),
    health: () => ({ state: 'ok', detail: '', since: 0 }),
    stats: () => ({ hits: 0, misses: 0, failures: 0, corrupt: 0, writes: 0, writeFailures: 0 }),
    close: () => Promise.resolve(),
  };
  return tier;
};
let tier: FakeTier;
let cache: TieredCache;

beforeEach(() => {
  vi.useFakeTimers({ now: T });
  tier = fakeTier();
  const memory = createMemoryCache({ maxBytes: 100_000 });
  cache = createTieredCache({ memory, redis: tier, now: Date.now });
});
afterEach(() => vi.useRealTimers());

describe('two tiers', () => {
  it('do not ask the second while the first has something fresh', async () => {
    cache.put('k', entryOf('x', T));
    expect((await cache.get('k'))?.body.toString()).toBe('x');
    expect(tier.gets).toBe(0);
    expect(tier.held.has('k')).toBe(true);
  });

  it('take over what the second has, once the first has expired', async () => {
    cache.put('k', entryOf('old', T - 10_000));
    tier.held.set('k', entryOf('new', T));
    expect((await cache.get('k'))?.body.toString()).toBe('new');
    expect(cache.peek('k')?.body.toString()).toBe('new');
  });

  it('never go back to something older', async () => {
    cache.put('k', entryOf('mine', T - 5_000));
    tier.held.set('k', entryOf('older', T - 9_000));
    expect((await cache.get('k'))?.body.toString()).toBe('mine');
    tier.held.delete('k');
    expect((await cache.get('k'))?.body.toString()).toBe('mine');
  });
});

describe('the right to load', () => {
  const claim = (deadline = T + 20_000, signal?: AbortSignal) => cache.claim('k', { deadline, signal });

  it('is granted with the first read, and released', async () => {
    const claimed = await claim();
    expect(claimed.fresh).toBeUndefined();
    claimed.release();
    expect([tier.claims, tier.released]).toEqual([1, 1]);
  });

  it('is not needed where the value came between looking and claiming', async () => {
    tier.next = () => ({ state: 'mine', entry: entryOf('x', T), release: () => void (tier.released += 1) });
    const { fresh } = await claim();
    expect(fresh?.body.toString()).toBe('x');
    expect(tier.released).toBe(1);
    expect(cache.peek('k')).toBe(fresh);
  });

  it('is waited for while another server loads, until its value is there', async () => {
    tier.next = () => ({ state: 'theirs', entry: undefined });
    const waiting = claim();
    await vi.advanceTimersByTimeAsync(500);
    tier.next = () => ({ state: 'theirs', entry: entryOf('x', T) });
    await vi.advanceTimersByTimeAsync(100);
    expect((await waiting).fresh?.body.toString()).toBe('x');
    // 10, 20, 40, 80 ms and then every 100 ms.
    expect(tier.claims).toBeLessThanOrEqual(11);
  });

  it('passes on where the other server fails', async () => {
    tier.next = () => ({ state: 'theirs', entry: entryOf('expired', T - 10_000) });
    const waiting = claim();
    await vi.advanceTimersByTimeAsync(100);
    tier.next = () => ({ state: 'mine', entry: undefined, release: () => void (tier.released += 1) });
    await vi.advanceTimersByTimeAsync(100);
    expect((await waiting).fresh).toBeUndefined();
  });

  it.each([
    ['the claim’s own time', T + 60_000, LOAD_CLAIM_MS],
    ['half of the time that is left', T + 4_000, 2_000],
  ])('is waited for no longer than %s, and then distrusted', async (_name, deadline, bound) => {
    tier.next = () => ({ state: 'theirs', entry: undefined });
    let done = false;
    void claim(deadline).then(() => (done = true));
    await vi.advanceTimersByTimeAsync(bound - 150);
    expect(done).toBe(false);
    await vi.advanceTimersByTimeAsync(150);
    expect(done).toBe(true);
    expect(tier.distrusted).toBe(1);
  });

  it('is not waited for where the tier cannot tell', async () => {
    tier.next = () => ({ state: 'unknown' });
    expect((await claim()).fresh).toBeUndefined();
    expect([tier.claims, tier.distrusted]).toEqual([1, 0]);
  });

  it('is not waited for by callers who have left', async () => {
    tier.next = () => ({ state: 'theirs', entry: undefined });
    const leaving = new AbortController();
    const waiting = claim(T + 20_000, leaving.signal);
    await vi.advanceTimersByTimeAsync(50);
    leaving.abort();
    expect((await waiting).fresh).toBeUndefined();
    expect(tier.distrusted).toBe(0);
    const { claims } = tier;
    await claim(T + 20_000, leaving.signal);
    expect(tier.claims).toBe(claims);
  });
});
