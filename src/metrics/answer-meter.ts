/** Counts answers as they go out. Plain counters: this runs once for every request, on the shortest path too. */
import { ERROR_CODES, type ErrorCode } from '../errors.js';
import type { Millis, Seconds } from '../schemas/common.js';
import type { CacheState } from '../market-data/market-data-api.js';
import { PREFIX, type Registry, type Sample } from './families.js';
import { Histogram } from './histogram.js';

/** What is counted of an answer; a subset of the HTTP module's record. */
export interface CountedAnswer {
  readonly method: string;
  /** The route's pattern, never the URL. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: Millis;
  readonly cache: CacheState | null;
  readonly errorCode: ErrorCode | null;
  readonly aborted: boolean;
  /** Its duration is a connection's life, not a wait. */
  readonly longLived: boolean;
}

export interface AnswerMeter {
  record(answer: CountedAnswer): void;
  register(registry: Registry): void;
}

const BUCKETS: readonly Seconds[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20,
];

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']);

const increment = <Key>(counts: Map<Key, number>, key: Key): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

const samplesBy = function* (label: string, counts: ReadonlyMap<string, number>): Generator<Sample> {
  for (const [value, count] of counts) yield [count, { [label]: value }];
};

export const createAnswerMeter = (): AnswerMeter => {
  // All bounded: by our routes, the methods above, HTTP's statuses, our codes and cache states.
  const routes = new Map<string, Map<string, Map<number, number>>>();
  // Starts at 0: Prometheus does not see the increase of a series that begins with its first error.
  const errors = new Map<string, number>(Object.keys(ERROR_CODES).map((code) => [code, 0]));
  const caches = new Map<string, number>();
  let aborted = 0;
  const latencies = new Histogram({
    name: `${PREFIX}http_request_duration_seconds`,
    help: 'Time from the arrival of a request to the end of its answer, without streams, by route.',
    buckets: BUCKETS,
    labelsOf: (route) => ({ route }),
  });

  const statusesOf = (route: string, method: string): Map<number, number> => {
    const methods = routes.get(route) ?? new Map<string, Map<number, number>>();
    const statuses = methods.get(method) ?? new Map<number, number>();
    if (statuses.size === 0) routes.set(route, methods.set(method, statuses));
    return statuses;
  };

  const requestSamples = function* (): Generator<Sample> {
    for (const [route, methods] of routes)
      for (const [method, statuses] of methods)
        for (const [status, count] of statuses) yield [count, { method, route, status: String(status) }];
  };

  return {
    record({ method, route, status, durationMs, cache, errorCode, longLived, aborted: left }) {
      increment(statusesOf(route, METHODS.has(method) ? method : 'other'), status);
      if (!longLived) latencies.observe(route, durationMs / 1000);
      if (cache !== null) increment(caches, cache);
      if (errorCode !== null) increment(errors, errorCode);
      if (left) aborted += 1;
    },
    register(registry) {
      registry.addCounter({
        name: 'http_requests_total',
        help: 'Answered requests by method, route and status.',
        labels: ['method', 'route', 'status'],
        samples: requestSamples,
      });
      registry.addCounter({
        name: 'http_errors_total',
        help: 'Answers that were problems, by their code.',
        labels: ['code'],
        samples: () => samplesBy('code', errors),
      });
      registry.addCounter({
        name: 'http_cache_answers_total',
        help: 'Market answers over HTTP by X-Cache: HIT, MISS, STALE, LIVE, STORE.',
        labels: ['cache'],
        samples: () => samplesBy('cache', caches),
      });
      registry.addCounter({
        name: 'http_requests_aborted_total',
        help: 'Requests whose client left before the answer.',
        samples: () => [[aborted]],
      });
      registry.addHistogram(latencies);
    },
  };
};
