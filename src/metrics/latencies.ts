/**
 * Latency histograms by one label, for the path of every request: an observation costs two look-ups, where prom-client
 * hashes labels for most of a microsecond. Written out in Prometheus' text format,
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { Seconds } from '../schemas/common.js';

/** Upper bounds of the buckets, ascending; the last, +Inf, is implied. */
const LATENCY_BUCKETS: readonly Seconds[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20,
];

interface Series {
  /** Observations within each bucket's own range, not cumulative; the last place is +Inf. */
  readonly counts: number[];
  sum: Seconds;
}

export interface LatenciesOptions {
  readonly name: string;
  readonly help: string;
  readonly label: string;
}

export class Latencies {
  /** Bounded by the values of the label, which are names of ours. */
  readonly #series = new Map<string, Series>();
  readonly #options: LatenciesOptions;

  constructor(options: LatenciesOptions) {
    this.#options = options;
  }

  observe(value: string, seconds: Seconds): void {
    let series = this.#series.get(value);
    if (series === undefined) {
      series = { counts: new Array<number>(LATENCY_BUCKETS.length + 1).fill(0), sum: 0 };
      this.#series.set(value, series);
    }
    let bucket = 0;
    while (seconds > (LATENCY_BUCKETS[bucket] ?? Infinity)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += seconds;
  }

  text(): string {
    const { name, help, label } = this.#options;
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
    for (const [value, { counts, sum }] of this.#series) {
      const own = `${label}="${value.replace(/[\\"]/g, '\\$&')}"`;
      let seen = 0;
      counts.forEach((count, bucket) => {
        seen += count;
        lines.push(`${name}_bucket{${own},le="${String(LATENCY_BUCKETS[bucket] ?? '+Inf')}"} ${seen}`);
      });
      lines.push(`${name}_sum{${own}} ${sum}`, `${name}_count{${own}} ${seen}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
