import { expect, test, vi } from 'vitest';
import { createFeedCounts } from '../../../src/cluster/feeds/feed-parts.js';
import { AppError, ERROR_CODES } from '../../../src/errors.js';
import type { CountedAnswer } from '../../../src/metrics/answer-meter.js';
import { createMetrics, type MetricsSources } from '../../../src/metrics/metrics.js';
import { createUpstreamMeter } from '../../../src/metrics/upstream-meter.js';
import { FakeExchangeClient } from './fake-exchange-client.js';
import { fullSources, NOW } from './sources.js';

const create = (sources: Partial<MetricsSources> = fullSources()) => {
  const clock = { at: 0 };
  const upstream = createUpstreamMeter({ now: () => clock.at });
  const metrics = createMetrics({ version: '1.2.3', upstream, sources });
  return { clock, upstream, metrics };
};

const ANSWER: CountedAnswer = {
  method: 'GET',
  route: '/v1/markets/ticker',
  status: 200,
  durationMs: 3,
  cache: 'HIT',
  errorCode: null,
  aborted: false,
  longLived: false,
};

/** The values of the series that start with `prefix`, by their labels. */
const series = (text: string, name: string): Record<string, number> =>
  Object.fromEntries(
    text
      .split('\n')
      .map((line) => /^crypto_data_(\w+)(\{[^}]*\})? (\S+)$/.exec(line))
      .filter((match) => match?.[1] === name)
      .map((match) => [match?.[2] ?? '', Number(match?.[3])]),
  );

/** Each state is there from the start, so that the first job in it is an increase. */
const jobStates = (exchange: string, jobs: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(
    ['queued', 'running', 'waiting', 'done', 'failed', 'cancelled'].map((state) => [
      `{exchange="${exchange}",state="${state}"}`,
      jobs[state] ?? 0,
    ]),
  );

test('asks the feeds and the topics once a scrape, however many numbers it makes of them', async () => {
  const sources = fullSources();
  const hub = vi.fn(sources.hub);
  const counts = { owned: 1, followed: 2, leases: 3, unshared: 4, pendingBytes: 5 };
  const feeds = vi.fn(() => ({ ...createFeedCounts(), ...counts }));
  const { metrics } = create({ ...sources, hub, bus: { membership: null, feeds } });
  await metrics.text();
  // Whether there are shared feeds is asked when the registry is made.
  expect([hub.mock.calls.length, feeds.mock.calls.length]).toEqual([1, 2]);
  await metrics.text();
  expect([hub.mock.calls.length, feeds.mock.calls.length]).toEqual([2, 3]);
});

test('tells every number of every source', async () => {
  const text = await create().metrics.text();
  const expected: Record<string, Record<string, number>> = {
    build_info: { '{version="1.2.3"}': 1 },
    http_requests_in_flight: { '': 5 },
    event_loop_lag_seconds: { '': 0.012 },
    market_fallbacks_total: { '': 6 },
    market_failures_total: { '': 7 },
    market_flights: { '': 8 },
    cache_entries: { '': 9 },
    cache_bytes: { '': 10 },
    cache_max_bytes: { '': 11 },
    cache_evictions_total: { '': 12 },
    redis_cache_lookups_total: {
      '{outcome="hit"}': 13,
      '{outcome="miss"}': 14,
      '{outcome="failure"}': 15,
      '{outcome="corrupt"}': 16,
    },
    redis_cache_writes_total: { '{outcome="ok"}': 51, '{outcome="failure"}': 52 },
    redis_up: { '': 1 },
    coinmarketcap_requests_total: { '{outcome="ok"}': 17, '{outcome="failed"}': 18 },
    coinmarketcap_quotes_reused_total: { '': 19 },
    coinmarketcap_paused_until_timestamp_seconds: { '': NOW / 1000 + 20 },
    upstream_markets_loaded_timestamp_seconds: { '{exchange="binance"}': NOW / 1000 - 21 },
    upstream_cooldown_until_timestamp_seconds: {
      '{exchange="binance"}': NOW / 1000 + 22,
      '{exchange="kraken"}': 0,
    },
    upstream_budget_remaining: { '{exchange="binance"}': 23, '{exchange="kraken"}': 100 },
    upstream_budget_limit: { '{exchange="binance"}': 100, '{exchange="kraken"}': 100 },
    bus_budget_shared: { '{exchange="binance"}': 1 },
    bus_budget_wait_seconds_bucket: {
      '{exchange="binance",le="0.001"}': 3,
      '{exchange="binance",le="1"}': 5,
      '{exchange="binance",le="+Inf"}': 6,
    },
    bus_budget_wait_seconds_sum: { '{exchange="binance"}': 4.5 },
    worker_up: { '{worker="0"}': 1, '{worker="1"}': 0 },
    worker_restarts_total: { '{worker="0"}': 24, '{worker="1"}': 0 },
    worker_calls_in_flight: { '{worker="0"}': 25, '{worker="1"}': 0 },
    worker_watches: { '{worker="0"}': 26, '{worker="1"}': 0 },
    worker_memory_bytes: { '{worker="0"}': 27 },
    worker_event_loop_delay_p99_seconds: { '{worker="0"}': 0.028 },
    unhandled_rejections_total: { '': 48 },
    worker_unhandled_rejections_total: { '{worker="0"}': 29 },
    ledger_store_up: { '': 1 },
    ledger_store_writable: { '': 1 },
    ledger_max_bytes: { '': 60 },
    ledger_series: { '': 61 },
    ledger_candles: { '': 62 },
    ledger_bytes: { '': 63 },
    ledger_wal_bytes: { '': 64 },
    ledger_disk_free_bytes: { '': 65 },
    ledger_candles_written_total: { '{source="rest"}': 66, '{source="websocket"}': 67 },
    ledger_dropped_pages_total: { '': 68 },
    ledger_queued_pages: { '': 69 },
    ledger_corrections_total: {
      '{exchange="binance",kind="revised"}': 70,
      '{exchange="binance",kind="disputed"}': 71,
      '{exchange="binance",kind="suspect"}': 72,
    },
    ledger_store_calls_total: { '{call="read"}': 73, '{call="write"}': 76 },
    ledger_store_call_seconds_total: { '{call="read"}': 74, '{call="write"}': 77 },
    ledger_backfill_pages_total: { '{outcome="ok"}': 79, '{outcome="failed"}': 80 },
    ledger_jobs: {
      ...jobStates('binance', { waiting: 81 }),
      ...jobStates('kraken', { waiting: 165, failed: 84 }),
    },
    ledger_waiting_jobs: { '{reason="budget"}': 163 },
    ledger_wanted_unknown_periods: { '{exchange="binance"}': 85 },
    ledger_wanted_behind_seconds: { '{exchange="binance"}': 86 },
    stream_topics: { '': 3 },
    stream_subscriptions: { '': 30 },
    stream_events_in_total: { '': 31 },
    stream_events_out_total: { '': 32 },
    stream_reconnects_total: { '': 33 },
    book_resyncs_total: { '{exchange="kraken",reason="checksum"}': 34 },
    stream_feeds: {
      '{exchange="binance",channel="ticker",state="live"}': 2,
      '{exchange="kraken",channel="trades",state="reconnecting"}': 1,
    },
    stream_last_item_timestamp_seconds: { '{exchange="binance",channel="ticker"}': NOW / 1000 - 9 },
    stream_clients: { '{kind="sse"}': 34, '{kind="websocket"}': 35 },
    stream_clients_opened_total: { '{kind="sse"}': 36, '{kind="websocket"}': 37 },
    stream_clients_refused_total: { '': 38 },
    stream_events_delivered_total: { '': 39 },
    stream_events_conflated_total: { '': 40 },
    stream_events_lost_total: { '': 41 },
    stream_clients_dropped_total: { '': 42 },
  };
  for (const [name, values] of Object.entries(expected)) expect(series(text, name), name).toEqual(values);
  expect(series(text, 'market_answers_total')).toMatchObject({
    '{kind="ticker",cache="HIT"}': 1,
    '{kind="trades",cache="LIVE"}': 4,
  });
  const failures = series(text, 'ledger_store_failures_total');
  expect(failures).toMatchObject({
    '{call="read",fault="unavailable"}': 75,
    '{call="write",fault="full"}': 78,
    '{call="write",fault="other"}': 0,
  });
  expect(Object.keys(failures)).toHaveLength(14);
  expect(series(text, 'upstream_circuit_state')).toMatchObject({
    '{exchange="binance",state="half_open"}': 1,
    '{exchange="binance",state="closed"}': 0,
    '{exchange="kraken",state="closed"}': 1,
  });
});

test('a symbol, which a client chooses, is no label', async () => {
  expect(await create().metrics.text()).not.toContain('BTC');
});

test('totals are as the services keep them, however often they are asked for', async () => {
  const { metrics } = create();
  await metrics.text();
  expect(series(await metrics.text(), 'cache_evictions_total')).toEqual({ '': 12 });
});

test('series whose subject is gone are gone', async () => {
  const sources = fullSources();
  let hub = sources.hub();
  const { metrics } = create({ ...sources, hub: () => hub });
  await metrics.text();
  hub = { ...hub, feeds: [] };
  expect(series(await metrics.text(), 'stream_feeds')).toEqual({});
});

test('what a server does not have is left out or empty', async () => {
  const text = await create({
    cache: () => ({ memory: { entries: 0, bytes: 0, maxBytes: 1, evictions: 0 }, shared: null }),
    coinMarketCap: () => null,
    ledger: () => null,
  }).metrics.text();
  expect(text).toContain('# TYPE crypto_data_ledger_store_up gauge');
  for (const name of ['ledger_store_up', 'ledger_candles', 'ledger_jobs'])
    expect(series(text, name)).toEqual({});
  expect(text).not.toContain('stream_topics');
  expect(text).not.toContain('http_requests_in_flight');
  expect(series(text, 'redis_cache_lookups_total')).toEqual({});
  expect(series(text, 'coinmarketcap_requests_total')).toEqual({});
  expect(series(text, 'coinmarketcap_paused_until_timestamp_seconds')).toEqual({ '': 0 });
});

test('tells of the process itself, in the names that dashboards for Node know', async () => {
  const { metrics } = create({});
  await metrics.text();
  const text = await metrics.text();
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds',
  ])
    expect(text).toMatch(new RegExp(`^${name} `, 'm'));
  expect(metrics.contentType).toMatch(/^text\/plain; version=0\.0\.4/);
});

test('counts answers by method, route and status, by cache state, code and broken waits', async () => {
  const { metrics } = create({});
  metrics.recordAnswer(ANSWER);
  metrics.recordAnswer(ANSWER);
  metrics.recordAnswer({ ...ANSWER, status: 429, cache: null, errorCode: 'client_rate_limited' });
  metrics.recordAnswer({ ...ANSWER, method: 'PROPFIND', route: 'unmatched', cache: null, aborted: true });
  const text = await metrics.text();
  expect(series(text, 'http_requests_total')).toEqual({
    '{method="GET",route="/v1/markets/ticker",status="200"}': 2,
    '{method="GET",route="/v1/markets/ticker",status="429"}': 1,
    '{method="other",route="unmatched",status="200"}': 1,
  });
  expect(series(text, 'http_cache_answers_total')).toEqual({ '{cache="HIT"}': 2 });
  expect(series(text, 'http_errors_total')).toMatchObject({ '{code="client_rate_limited"}': 1 });
  expect(series(text, 'http_requests_aborted_total')).toEqual({ '': 1 });
});

test('latencies are cumulative buckets by route, and the life of a stream is none', async () => {
  const { metrics } = create({});
  metrics.recordAnswer(ANSWER);
  metrics.recordAnswer({ ...ANSWER, durationMs: 5 });
  metrics.recordAnswer({ ...ANSWER, durationMs: 60_000 });
  metrics.recordAnswer({ ...ANSWER, route: '/ws', longLived: true, cache: null });
  const text = await metrics.text();
  const buckets = series(text, 'http_request_duration_seconds_bucket');
  const at = (le: string) => buckets[`{route="/v1/markets/ticker",le="${le}"}`];
  expect([at('0.0025'), at('0.005'), at('20'), at('+Inf')]).toEqual([0, 2, 2, 3]);
  expect(series(text, 'http_request_duration_seconds_count')).toEqual({ '{route="/v1/markets/ticker"}': 3 });
  expect(series(text, 'http_request_duration_seconds_sum')).toEqual({
    '{route="/v1/markets/ticker"}': 60.008,
  });
  expect(series(text, 'http_requests_total')).toHaveProperty(['{method="GET",route="/ws",status="200"}'], 1);
});

test('counts each attempt to ask an exchange with its outcome and duration', async () => {
  const { metrics, upstream, clock } = create({});
  const inner = new FakeExchangeClient();
  const client = upstream.measure(inner);
  const options = { deadline: NOW, priority: 'caller' as const };
  const request = { kind: 'ticker' as const, exchange: 'binance', symbol: 'BTC/USDT' };
  inner.onCall = () => {
    clock.at += 300;
  };
  await client.fetch(request, options);
  await client.markets('binance', options);
  inner.fault = new AppError('upstream_timeout', 'No.');
  await expect(client.fetch(request, options)).rejects.toBe(inner.fault);
  upstream.retried({ exchange: 'binance', code: 'upstream_timeout' });
  const text = await metrics.text();
  expect(series(text, 'upstream_calls_total')).toEqual({
    '{exchange="binance",kind="ticker",outcome="ok"}': 1,
    '{exchange="binance",kind="markets",outcome="ok"}': 1,
    '{exchange="binance",kind="ticker",outcome="upstream_timeout"}': 1,
  });
  expect(series(text, 'upstream_call_duration_seconds_sum')).toMatchObject({
    '{exchange="binance",kind="ticker"}': 0.6,
  });
  expect(series(text, 'upstream_retries_total')).toEqual({
    '{exchange="binance",code="upstream_timeout"}': 1,
  });
});

test('the rest of an ExchangeClient passes through the meter unchanged', async () => {
  const inner = new FakeExchangeClient();
  const client = createUpstreamMeter().measure(inner);
  await client.describe('binance');
  client.watch(
    { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
    { onItem: () => undefined, onEnd: () => undefined },
  );
  client.health();
  await client.close();
  expect(inner.calls).toEqual(['describe', 'watch', 'health', 'close']);
});

test('every error code has its series from the start, so that the first error is seen as an increase', async () => {
  const text = await createMetrics({ version: '1', upstream: createUpstreamMeter(), sources: {} }).text();
  const codes = series(text, 'http_errors_total');
  for (const code of Object.keys(ERROR_CODES)) expect(codes[`{code="${code}"}`], code).toBe(0);
});

test.each([
  ['degraded', { '': 0 }],
  ['disabled', {}],
] as const)(
  'a Redis that is %s shows in a gauge, not by failures that nobody counts',
  async (state, expected) => {
    const sources = { cacheHealth: () => ({ state, detail: '', since: NOW }) };
    const text = await createMetrics({ version: '1', upstream: createUpstreamMeter(), sources }).text();
    expect(series(text, 'redis_up')).toEqual(expected);
  },
);

test('a store that is not open has no size, and another machine no disk', async () => {
  const told = fullSources().ledger();
  if (told === null) throw new Error('the sources have a ledger');
  const status = { ...told.status, state: 'degraded', writable: false } as const;
  const ledger = () => ({ ...told, status, totals: null, freeBytes: null });
  const text = await create({ ledger }).metrics.text();
  expect(series(text, 'ledger_store_up')).toEqual({ '': 0 });
  expect(series(text, 'ledger_store_writable')).toEqual({ '': 0 });
  for (const name of ['ledger_candles', 'ledger_bytes', 'ledger_disk_free_bytes'])
    expect(series(text, name)).toEqual({});
});
