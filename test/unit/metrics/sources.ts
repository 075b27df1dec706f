/** Sources as a busy server would have them, each with a number of its own. */
import type { MetricsSources } from '../../../src/metrics/metrics.js';

export const NOW = 1_699_000_000_000;

const NO_FAILURES = { full: 0, corrupt: 0, busy: 0, read_only: 0, sandbox: 0, unavailable: 0, other: 0 };
const states = { HIT: 1, MISS: 2, STALE: 3, LIVE: 4, STORE: 5 };

export const fullSources = (): MetricsSources => ({
  unhandledRejections: () => 48,
  inFlight: () => 5,
  lagMs: () => 12,
  marketData: () => ({
    answers: { ticker: states, ohlcv: states, orderbook: states, trades: states },
    fallbacks: 6,
    failures: 7,
    flights: 8,
  }),
  cache: () => ({
    memory: { entries: 9, bytes: 10, maxBytes: 11, evictions: 12 },
    shared: { hits: 13, misses: 14, failures: 15, corrupt: 16, writes: 51, writeFailures: 52 },
  }),
  cacheHealth: () => ({ state: 'ok', detail: 'Memory and Redis.', since: NOW }),
  coinMarketCap: () => ({
    requests: 36,
    succeeded: 17,
    failures: 18,
    reused: 19,
    pausedUntil: NOW + 20_000,
    historical: true,
  }),
  exchanges: () => [
    {
      exchange: 'binance',
      markets: 'loaded',
      marketsLoadedAt: NOW - 21_000,
      coolDownUntil: NOW + 22_000,
      circuit: 'half_open',
      budget: {
        ...{ limit: 100, remaining: 23, windowMs: 60_000 },
        shared: { isShared: true, waits: { buckets: [0.001, 1], counts: [3, 2, 1], sum: 4.5 } },
      },
      worker: 'running',
      workerRestarts: 0,
      lastError: null,
      since: NOW,
    },
    {
      exchange: 'kraken',
      markets: 'not_loaded',
      marketsLoadedAt: null,
      coolDownUntil: null,
      circuit: 'closed',
      budget: { limit: 100, remaining: 100, windowMs: 60_000 },
      worker: 'starting',
      workerRestarts: 0,
      lastError: null,
      since: NOW,
    },
  ],
  workers: () => [
    {
      index: 0,
      exchanges: ['binance'],
      state: 'running',
      restarts: 24,
      inFlight: 25,
      watches: 26,
      report: { memoryBytes: 27, eventLoopDelayP99Ms: 28, unhandledRejections: 29 },
    },
    {
      index: 1,
      exchanges: ['kraken'],
      state: 'starting',
      restarts: 0,
      inFlight: 0,
      watches: 0,
      report: null,
    },
  ],
  bus: null,
  sharesBudgets: true,
  ledger: () => ({
    status: { state: 'ok', detail: 'SQLite file', since: NOW, writable: true },
    maxBytes: 60,
    totals: { series: 61, candles: 62, bytes: 63, walBytes: 64 },
    freeBytes: 65,
    writes: {
      ...{ rest: 66, websocket: 67, dropped: 68, queued: 69 },
      corrections: new Map([['binance', { revised: 70, disputed: 71, suspect: 72 }]]),
    },
    calls: {
      read: { calls: 73, ms: 74_000, failures: { ...NO_FAILURES, unavailable: 75 } },
      write: { calls: 76, ms: 77_000, failures: { ...NO_FAILURES, full: 78 } },
    },
    backfill: { pages: 79, failedPages: 80 },
    jobs: [
      { exchange: 'binance', state: 'waiting', waitingFor: 'budget', jobs: 81 },
      { exchange: 'kraken', state: 'waiting', waitingFor: 'budget', jobs: 82 },
      { exchange: 'kraken', state: 'waiting', waitingFor: null, jobs: 83 },
      { exchange: 'kraken', state: 'failed', waitingFor: null, jobs: 84 },
    ],
    wanted: [{ exchange: 'binance', unknownPeriods: 85, behindMs: 86_000 }],
  }),
  hub: () => ({
    topics: 3,
    subscribers: 30,
    eventsIn: 31,
    eventsOut: 32,
    reconnects: 33,
    bookResyncs: [{ exchange: 'kraken', reason: 'checksum', count: 34 }],
    feeds: [
      {
        topic: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
        state: 'live',
        subscribers: 1,
        lastItemAt: NOW - 1000,
      },
      {
        topic: { channel: 'ticker', exchange: 'binance', symbol: 'ETH/USDT' },
        state: 'live',
        subscribers: 1,
        lastItemAt: NOW - 9000,
      },
      {
        topic: { channel: 'trades', exchange: 'kraken', symbol: 'BTC/USD' },
        state: 'reconnecting',
        subscribers: 1,
        lastItemAt: null,
      },
    ],
  }),
  connections: () => ({
    sse: 34,
    websocket: 35,
    opened: { sse: 36, websocket: 37 },
    refused: 38,
    delivered: 39,
    conflated: 40,
    lost: 41,
    dropped: 42,
  }),
  processRestarts: () => new Map(),
  access: () => ({ mode: 'required', isServing: true }),
});
