/** What a thread's isolate holds, without the garbage that V8 has not collected yet: that may be most of a heap. */
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

const usedBytes = (): number => {
  // Of this isolate; process.memoryUsage() would read the whole process' figures from the kernel besides.
  const { used_heap_size: heapUsed, external_memory: external } = getHeapStatistics();
  return heapUsed + external;
};

/** The types of Node know no detail of an entry. */
type Collection = PerformanceEntry & { readonly detail?: { readonly kind?: number } };
const isOfAllGarbage = ({ detail }: Collection): boolean =>
  detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;

export interface HeldMemory {
  /** Heap and external memory in use after the latest collection of all garbage; before the first, all that is in use. */
  bytes(): number;
  close(): void;
}

/** Watches the isolate that calls it. */
export const watchHeldMemory = (): HeldMemory => {
  let held: number | null = null;
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some(isOfAllGarbage)) held = usedBytes();
  });
  observer.observe({ entryTypes: ['gc'] });
  return {
    // Whatever was held then, no more can be than is in use.
    bytes: () => Math.min(held ?? Infinity, usedBytes()),
    close: () => observer.disconnect(),
  };
};
