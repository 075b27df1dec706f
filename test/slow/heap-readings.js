// Preloaded into every thread of a server: every SOAK_EVERY_MS it appends a line to SOAK_READINGS. Its heap is what the thread's
// own collections of all garbage left: to force one would stop thousands of feeds for a second. Tests only.
import { appendFileSync } from 'node:fs';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { threadId } from 'node:worker_threads';

const heapBytes = () => {
  const { used_heap_size: used, external_memory: external } = getHeapStatistics();
  return used + external;
};

/** The least since the last line; Infinity: nothing was collected. */
let collected = Infinity;
let last = heapBytes();
new PerformanceObserver((list) => {
  const isMajor = ({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
  if (list.getEntries().some(isMajor)) collected = Math.min(collected, heapBytes());
}).observe({ entryTypes: ['gc'] });

setInterval(() => {
  if (collected < Infinity) last = collected;
  collected = Infinity;
  const { user, system } = process.cpuUsage();
  const reading = {
    thread: threadId,
    heapBytes: last,
    rssBytes: process.memoryUsage.rss(),
    cpuUs: user + system,
  };
  appendFileSync(process.env.SOAK_READINGS, `${JSON.stringify(reading)}\n`);
}, Number(process.env.SOAK_EVERY_MS)).unref();
