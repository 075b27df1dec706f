// Preloaded into the product (NODE_OPTIONS=--import): measures the main thread's event-loop delay and nothing else.
// SIGUSR2 writes the percentiles in ms to the file BENCH_PROBE names and starts a new measurement.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const file = process.env.BENCH_PROBE;
if (isMainThread && file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on('SIGUSR2', () => {
    const at = (percentile) => delay.percentile(percentile) / 1e6;
    const report = { p50: at(50), p99: at(99), max: delay.max / 1e6, count: delay.count };
    delay.reset();
    writeFileSync(file, JSON.stringify(report));
  });
}
