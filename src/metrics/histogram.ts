/**
 * Histograms for the path of every request: an observation costs two look-ups, where prom-client hashes labels for most
 * of a microsecond. Written out in Prometheus' text format,
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { Labels } from './families.js';

interface Series {
  /** Observations within each bucket's own range, not cumulative; the last place is +Inf. */
  readonly counts: number[];
  sum: number;
}

export interface HistogramOptions {
  readonly name: string;
  readonly help: string;
  /** Upper bounds, ascending; the last, +Inf, is implied. */
  readonly buckets: readonly number[];
  /** The labels of the series with this key; called when the text is written. */
  readonly labelsOf: (key: string) => Labels;
  /** Series that are there before their first observation. */
  readonly initialKeys?: readonly string[];
}

const labelText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"]/g, '\\$&')}"`)
    .join(',');

export class Histogram {
  /** Bounded by the keys, which are names of ours. */
  readonly #series = new Map<string, Series>();
  readonly #options: HistogramOptions;

  constructor(options: HistogramOptions) {
    this.#options = options;
    for (const key of options.initialKeys ?? []) this.#seriesOf(key);
  }

  #seriesOf(key: string): Series {
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { counts: new Array<number>(this.#options.buckets.length + 1).fill(0), sum: 0 };
      this.#series.set(key, series);
    }
    return series;
  }

  observe(key: string, value: number): void {
    const series = this.#seriesOf(key);
    const { buckets } = this.#options;
    let bucket = 0;
    while (value > (buckets[bucket] ?? Infinity)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  text(): string {
    const { name, help, buckets, labelsOf } = this.#options;
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
    for (const [key, { counts, sum }] of this.#series) {
      const own = labelText(labelsOf(key));
      const [first, all] = own === '' ? ['', ''] : [`${own},`, `{${own}}`];
      let seen = 0;
      counts.forEach((count, bucket) => {
        seen += count;
        lines.push(`${name}_bucket{${first}le="${String(buckets[bucket] ?? '+Inf')}"} ${seen}`);
      });
      lines.push(`${name}_sum${all} ${sum}`, `${name}_count${all} ${seen}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
