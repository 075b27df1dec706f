/** Metrics of several processes in one text. */
import { expect, test } from 'vitest';
import { addMetrics, metricsText, readMetrics, type Families } from '../../../src/processes/metrics-sum.js';

const textOf = (requests: number, bytes: number, below: number): string => `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{route="/a b",status="200"} ${requests}
# HELP memory_bytes Memory.
# TYPE memory_bytes gauge
memory_bytes ${bytes}
feeds{state="live"} 1

# HELP wait_seconds Waits.
# TYPE wait_seconds histogram
wait_seconds_bucket{kind="x",le="0.1"} ${below}
wait_seconds_bucket{kind="x",le="+Inf"} ${below + 1}
wait_seconds_sum{kind="x"} 0.5
wait_seconds_count{kind="x"} ${below + 1}
`;

const sumOf = (parts: readonly (readonly [string, string | null])[]): string => {
  const sum: Families = new Map();
  for (const [text, name] of parts) addMetrics(sum, readMetrics(text), name);
  return metricsText(sum);
};

test('counters and histograms are summed, gauges say whose they are', () => {
  expect(
    sumOf([
      [textOf(3, 10, 1), 'primary'],
      [textOf(4, 20, 2), '1'],
    ]),
  ).toBe(`# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{route="/a b",status="200"} 7

# HELP memory_bytes Memory.
# TYPE memory_bytes gauge
memory_bytes{process="primary"} 10
memory_bytes{process="1"} 20

# HELP wait_seconds Waits.
# TYPE wait_seconds histogram
wait_seconds_bucket{kind="x",le="0.1"} 3
wait_seconds_bucket{kind="x",le="+Inf"} 5
wait_seconds_sum{kind="x"} 1
wait_seconds_count{kind="x"} 5
`);
});

test('of a process that is gone, counters stay and gauges go', () => {
  const text = sumOf([
    [textOf(3, 10, 1), null],
    [textOf(4, 20, 2), '1'],
  ]);
  expect(text).toContain('requests_total{route="/a b",status="200"} 7\n');
  expect(text).toContain('wait_seconds_count{kind="x"} 5\n');
  expect(text.match(/^memory_bytes.*$/gm)).toEqual(['memory_bytes{process="1"} 20']);
});

test('labels of a gauge are kept, and infinite values are written as Prometheus reads them', () => {
  const gauge = '# TYPE cool gauge\ncool{exchange="kraken"} +Inf\ncool{exchange="binance"} NaN\n';
  expect(sumOf([[gauge, 'feeder']])).toBe(`# HELP cool 
# TYPE cool gauge
cool{exchange="kraken",process="feeder"} +Inf
cool{exchange="binance",process="feeder"} NaN
`);
});
