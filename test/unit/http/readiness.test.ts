import { describe, expect, test } from 'vitest';
import type { CacheHealth } from '../../../src/cache/cache-entry.js';
import type { ExchangeHealth } from '../../../src/exchanges/exchange-client.js';
import { createReadiness } from '../../../src/http/health/readiness.js';

const NOW = 1000;
const well = (exchange: string, parts: Partial<ExchangeHealth> = {}): ExchangeHealth => ({
  exchange,
  markets: 'loaded',
  marketsLoadedAt: 0,
  coolDownUntil: null,
  circuit: 'closed',
  budget: { limit: 100, remaining: 41.7, windowMs: 60_000 },
  worker: 'running',
  workerRestarts: 0,
  lastError: null,
  since: 7,
  ...parts,
});
type Store = ReturnType<NonNullable<Parameters<typeof createReadiness>[0]['store']>>;
const fine: CacheHealth = { state: 'ok', detail: 'Redis is in use.', since: 3 };

const readiness = (
  exchanges: readonly ExchangeHealth[],
  {
    cache = fine,
    draining = false,
    overloaded = false,
    store,
  }: { cache?: CacheHealth; draining?: boolean; overloaded?: boolean; store?: Store } = {},
) =>
  createReadiness({
    cache: () => cache,
    ...(store === undefined ? {} : { store: () => store }),
    exchanges: () => exchanges,
    enabled: [
      { name: 'binance', exchange: 'binance' },
      { name: 'coinbasepro', exchange: 'coinbaseexchange' },
    ],
    sandbox: false,
    draining: () => draining,
    overloaded: () => overloaded,
    now: () => NOW,
  })();

describe('the state of one exchange', () => {
  test.each([
    [{}, 'ok'],
    [{ markets: 'not_loaded' }, 'idle'],
    [{ markets: 'loading' }, 'loading'],
    [{ markets: 'not_loaded', worker: 'starting' }, 'loading'],
    [{ markets: 'refresh_failed' }, 'ok'],
    [{ markets: 'load_failed' }, 'failing'],
    [{ circuit: 'open' }, 'failing'],
    [{ circuit: 'half_open' }, 'failing'],
    [{ coolDownUntil: NOW + 1 }, 'cooling_down'],
    [{ coolDownUntil: NOW }, 'ok'],
    [{ worker: 'restarting' }, 'restarting'],
  ] as const)('%j is %s', (parts, state) => {
    const { checks } = readiness([well('binance', parts), well('coinbaseexchange')]);
    expect(checks['binance']).toMatchObject({ state, since: 7, budget_remaining: 41 });
  });
});

test('all well is ready; one exchange or Redis away is degraded; all exchanges away or draining is unavailable', () => {
  const ill = { circuit: 'open' } as const;
  expect(readiness([well('binance'), well('coinbaseexchange')]).status).toBe('ready');
  expect(readiness([well('binance', ill), well('coinbaseexchange')]).status).toBe('degraded');
  expect(readiness([well('binance')], { cache: { ...fine, state: 'degraded' } }).status).toBe('degraded');
  expect(readiness([well('binance')], { cache: { ...fine, state: 'disabled' } }).status).toBe('ready');
  expect(readiness([well('binance', ill), well('coinbaseexchange', ill)]).status).toBe('unavailable');
  expect(readiness([well('binance')], { draining: true })).toMatchObject({
    status: 'unavailable',
    draining: true,
  });
});

test('a store that does not keep what it should degrades, one that is not there or only read does not', () => {
  const of = (store: Store) => readiness([well('binance'), well('coinbaseexchange')], { store });
  const full = { state: 'degraded', since: 5, detail: 'The disk is full: nothing is stored.' } as const;
  expect(of(full)).toMatchObject({ status: 'degraded', checks: { store: full } });
  const read = { state: 'ok', since: 5, detail: 'Another process owns this file.' } as const;
  expect(of({ ...read, writable: false } as never)).toMatchObject({
    status: 'ready',
    checks: { store: read },
  });
  expect(Object.keys(of(read).checks['store'] ?? {})).toEqual(['state', 'since', 'detail']);
  expect(of(null)).toMatchObject({
    status: 'ready',
    checks: {
      store: { state: 'disabled', since: NOW, detail: expect.stringContaining('STORE_URL=none') as string },
    },
  });
});

test('a server that refuses requests for their number is unavailable, and says so', () => {
  expect(readiness([well('binance')], { overloaded: true })).toMatchObject({
    status: 'unavailable',
    overloaded: true,
  });
});

test('why an exchange fails is told: the code, its cause and when', () => {
  const lastError = {
    code: 'upstream_unavailable',
    detail: 'getaddrinfo ENOTFOUND api.example',
    at: 900,
  } as const;
  const { checks } = readiness([well('binance', { lastError }), well('coinbaseexchange')]);
  expect(checks['binance']).toMatchObject({
    last_error: 'upstream_unavailable',
    last_error_detail: 'getaddrinfo ENOTFOUND api.example',
    last_error_at: 900,
  });
  expect(checks['coinbasepro']).toMatchObject({
    last_error: null,
    last_error_detail: null,
    last_error_at: null,
  });
});

test('exchanges are listed under the names that were enabled', () => {
  expect(Object.keys(readiness([well('binance'), well('coinbaseexchange')]).checks)).toEqual([
    'cache',
    'store',
    'bus',
    'binance',
    'coinbasepro',
  ]);
});
