// One load of one key: who is asked, what is kept, and what a fault leaves.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMemoryCache } from '../../../src/cache/memory-cache.js';
import { createTieredCache, type TieredCache } from '../../../src/cache/tiered-cache.js';
import { AppError } from '../../../src/errors.js';
import type {
  CandleEvidence,
  CandleTraits,
  MarketRequest,
  OhlcvRequest,
} from '../../../src/exchanges/exchange-client.js';
import type { LedgerAnswer } from '../../../src/ledger/ledger-answer.js';
import type { Gap } from '../../../src/schemas/market.js';
import { createVenueLoad, type Loaded } from '../../../src/market-data/venue-load.js';
import { entryOf } from '../../support/cache-entries.js';
import { createFakeExchangeClient, venueAnswer } from '../../support/fake-exchange-client.js';
import { TTL } from '../../support/market-data-rig.js';

const NOW = Date.UTC(2026, 0, 14, 6, 15, 15);
const now = (): number => NOW;
const TICKER: MarketRequest = { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' };
const CANDLES: OhlcvRequest = {
  kind: 'ohlcv',
  exchange: 'binance',
  symbol: 'BTC/USDT',
  interval: '1m',
  limit: 500,
};
const KEY = 'a key';
const EVIDENCE = { asked: 'something' } as unknown as CandleEvidence;

const known = (text: string, more: Partial<LedgerAnswer> = {}): LedgerAnswer => ({
  ...{ body: Buffer.from(text), symbol: 'BTC/USDT', cache: 'STORE', via: 'store' },
  ...{ receivedAt: NOW - 5000, closesAt: null, complete: true },
  ...more,
});

/** A ledger that has what the test says, and keeps what it is told. */
class FakeLedger {
  loaded: LedgerAnswer | null = null;
  rest: LedgerAnswer | null = null;
  readonly recorded: unknown[] = [];
  readonly partlyAsked: unknown[] = [];
  /** Parts that it asks the venue for. */
  parts: readonly OhlcvRequest[] = [];

  async load(
    _request: OhlcvRequest,
    ask: (part: OhlcvRequest) => Promise<unknown>,
  ): Promise<LedgerAnswer | null> {
    for (const part of this.parts) await ask(part);
    return this.loaded;
  }
  partly(request: OhlcvRequest, reason: string): Promise<LedgerAnswer | null> {
    this.partlyAsked.push([request, reason]);
    return Promise.resolve(this.rest);
  }
  agreed(_name: object, gaps: readonly Gap[]): Promise<readonly Gap[]> {
    return Promise.resolve(gaps.map((gap) => ({ ...gap, reason: 'unconfirmed' })));
  }
  record(name: object, evidence: CandleEvidence): Promise<void> {
    this.recorded.push([name, evidence]);
    return Promise.resolve();
  }
}

let cache: TieredCache;
let exchanges: ReturnType<typeof createFakeExchangeClient>;
let ledger: FakeLedger;
beforeEach(() => {
  cache = createTieredCache({ memory: createMemoryCache({ maxBytes: 1_000_000, now }), redis: null, now });
  exchanges = createFakeExchangeClient(now);
  ledger = new FakeLedger();
});
afterEach(async () => {
  vi.useRealTimers();
  await cache.close();
});

interface How {
  readonly kept?: boolean;
  readonly holdsStale?: boolean;
  readonly once?: boolean;
}
const load = (request: MarketRequest, { kept = true, holdsStale = false, once = false }: How = {}) =>
  createVenueLoad({
    ...{ cache, exchanges, ledger: kept ? ledger : null, ttl: TTL, sandbox: false, now, monotonic: now },
  })(
    { key: KEY, request, client: 'a client', mayBackfill: true, deadline: NOW + 1000, holdsStale, once },
    new AbortController().signal,
  );
const textOf = ({ entry }: Loaded): string => entry.body.toString();
const refusal = (
  code: 'upstream_unavailable' | 'symbol_not_found' | 'invalid_request',
  parameter = 'symbol',
) => new AppError(code, 'refused', { errors: [{ parameter, reason: 'refused' }] });
const refuse = (error: AppError) => {
  exchanges.answer = () => Promise.reject(error);
};

describe('what the cache holds', () => {
  it('is enough while it is fresh', async () => {
    cache.put(KEY, entryOf('cached', NOW));
    expect(await load(TICKER)).toMatchObject({ cache: 'HIT' });
    expect(exchanges.fetched).toEqual([]);
  });

  it('is told as stale to a caller who has nothing, and of no use to one who has it already', async () => {
    cache.put(KEY, entryOf('cached', NOW - 60_000));
    expect(await load(TICKER)).toMatchObject({ cache: 'STALE' });
    expect(exchanges.fetched).toEqual([]);
    expect(await load(TICKER, { holdsStale: true })).toMatchObject({ cache: 'MISS', symbol: 'BTC/USDT' });
    expect(exchanges.fetched).toHaveLength(1);
  });

  it('is what another server has loaded while this one waited for its turn', async () => {
    const fresh = entryOf('of another server', NOW);
    const release = vi.fn();
    cache.claim = () => Promise.resolve({ fresh, release });
    expect(await load(TICKER)).toEqual({ entry: fresh, cache: 'HIT' });
    expect(exchanges.fetched).toEqual([]);
  });
});

describe('the venue', () => {
  it('is asked in the name of who asked first, and its answer is kept', async () => {
    const loaded = await load(TICKER, { once: true });
    expect(textOf(loaded)).toContain('"last":1');
    expect(exchanges.fetched).toMatchObject([
      {
        request: TICKER,
        options: { client: 'a client', priority: 'caller', deadline: NOW + 1000, attempts: 1 },
      },
    ]);
    expect(cache.peek(KEY)).toBe(loaded.entry);
    expect(await load(TICKER)).toMatchObject({ cache: 'HIT' });
  });

  it('is given up shortly after the deadline where its call never settles, and its key is free again', async () => {
    vi.useFakeTimers();
    exchanges.answer = () => new Promise(() => undefined);
    const release = vi.fn();
    cache.claim = () => Promise.resolve({ fresh: undefined, release });
    const late = expect(load(TICKER)).rejects.toMatchObject({
      code: 'upstream_timeout',
      upstream: { exchange: 'binance' },
    });
    await vi.advanceTimersByTimeAsync(1100);
    await late;
    expect(release).toHaveBeenCalledTimes(1);
  });

  it('fails with an error of ours whatever it throws, and nothing is kept', async () => {
    exchanges.answer = () => Promise.reject(new TypeError('not ours'));
    await expect(load(TICKER)).rejects.toMatchObject({ code: 'internal_error' });
    expect(cache.peek(KEY)).toBeUndefined();
  });
});

describe('candles', () => {
  it('come from the ledger where it knows them; what is complete is shared', async () => {
    ledger.loaded = known('stored');
    const loaded = await load(CANDLES);
    expect([textOf(loaded), loaded.cache, loaded.symbol]).toEqual(['stored', 'STORE', 'BTC/USDT']);
    expect(cache.peek(KEY)).toBe(loaded.entry);
    expect(exchanges.fetched).toEqual([]);
  });

  it('of which parts are fetched are no hit, and are not shared while something is still to come', async () => {
    ledger.loaded = known('joined', { cache: 'MISS', via: 'store+rest', complete: false });
    ledger.parts = [{ ...CANDLES, since: NOW - 60_000 }];
    expect(await load(CANDLES)).toMatchObject({
      cache: 'MISS',
      entry: { source: 'binance; via=store+rest' },
    });
    expect(exchanges.fetched.map(({ request }) => request)).toEqual(ledger.parts);
    expect(cache.peek(KEY)).toBeUndefined();
  });

  it('that the ledger does not know are asked for with what they prove, which is kept', async () => {
    exchanges.answer = (request) => Promise.resolve({ ...venueAnswer(request, NOW), evidence: EVIDENCE });
    expect(await load(CANDLES)).toMatchObject({ cache: 'MISS' });
    expect(exchanges.fetched[0]?.request).toEqual({ ...CANDLES, evidence: true });
    const name = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m' };
    expect(ledger.recorded).toEqual([[name, EVIDENCE]]);
  });

  it('of the venue have the gaps that the ledger tells, and are asked for again soon where these may heal', async () => {
    const head = '{"exchange":"binance","symbol":"BTC/USDT","interval":"1m","candles":[]';
    const gaps = (reason: string) => `"gaps":[{"from":60000,"to":120000,"reason":"${reason}"}]`;
    const body = Buffer.from(`${head},${gaps('not_available_from_exchange')},"next_since":180000}`);
    exchanges.answer = (request) =>
      Promise.resolve({ ...venueAnswer(request, NOW), body, mayHeal: false, evidence: EVIDENCE });
    const loaded = await load(CANDLES);
    expect(textOf(loaded)).toBe(`${head},${gaps('unconfirmed')},"next_since":180000}`);
    expect(loaded.entry.freshUntil).toBeLessThan(NOW + TTL.ohlcvMs);
  });

  it('that prove nothing are served all the same', async () => {
    expect(await load(CANDLES)).toMatchObject({ cache: 'MISS' });
    expect(ledger.recorded).toEqual([]);
  });

  it('are asked for as anything else where nothing is kept', async () => {
    expect(await load(CANDLES, { kept: false })).toMatchObject({ cache: 'MISS' });
    expect(exchanges.fetched[0]?.request).toEqual(CANDLES);
    expect(ledger.partlyAsked).toEqual([]);
  });
});

describe('after a fault', () => {
  it('of the venue, what the ledger has is served, but not shared', async () => {
    refuse(refusal('upstream_unavailable'));
    ledger.rest = known('the rest');
    const loaded = await load(CANDLES);
    expect([textOf(loaded), loaded.cache]).toEqual(['the rest', 'STORE']);
    expect(ledger.partlyAsked).toEqual([[CANDLES, 'not_loaded_yet']]);
    expect(cache.peek(KEY)).toBeUndefined();
  });

  it('of the venue, its error is told where the ledger has nothing', async () => {
    refuse(refusal('upstream_unavailable'));
    await expect(load(CANDLES)).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  it.each([
    ['symbol_not_found', 'symbol'],
    ['invalid_request', 'interval'],
  ] as const)('of the caller, the ledger is not asked: %s of %s', async (code, parameter) => {
    refuse(refusal(code, parameter));
    ledger.rest = known('the rest');
    await expect(load(CANDLES)).rejects.toMatchObject({ code });
    expect(ledger.partlyAsked).toEqual([]);
  });

  it('nothing else than candles is looked for in the ledger', async () => {
    refuse(refusal('upstream_unavailable'));
    ledger.rest = known('the rest');
    await expect(load(TICKER)).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(ledger.partlyAsked).toEqual([]);
  });

  const candles = { spot: { page: 300 } as CandleTraits, contract: { page: 200 } as CandleTraits };
  it.each([
    ['BTC/USDT', undefined, 100],
    ['BTC/USDT', candles, 300],
    ['BTC/USDT:USDT', undefined, 100],
    ['BTC/USDT:USDT', candles, 200],
  ])(
    'a request longer than the budget has one page of %s asked for, kept and served (%#)',
    async (symbol, traits, limit) => {
      const request = { ...CANDLES, symbol };
      const description = await exchanges.describe('binance');
      exchanges.describe = () => Promise.resolve({ ...description, candles: traits });
      exchanges.answer = (asked) =>
        asked.kind === 'ohlcv' && asked.limit === 500
          ? Promise.reject(refusal('invalid_request', 'limit'))
          : Promise.resolve({ ...venueAnswer(asked, NOW), symbol, evidence: EVIDENCE });
      ledger.rest = known('one page', { complete: false });
      expect(textOf(await load(request))).toBe('one page');
      expect(exchanges.fetched.map(({ request: asked }) => asked)).toEqual([
        { ...request, evidence: true },
        { ...request, evidence: true, limit },
      ]);
      expect(ledger.recorded).toEqual([[{ exchange: 'binance', symbol, interval: '1m' }, EVIDENCE]]);
    },
  );
});
