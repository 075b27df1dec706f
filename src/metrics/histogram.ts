/**
 * Histograms for the path of every request: an observation costs two look-ups, where prom-client hashes labels for most
 * of a microsecond. Written out in Prometheus' text format,
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { Distribution, type Observations } from '../lib/distribution.js';
import { type Labels, PREFIX } from './families.js';

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

const headOf = (name: string, help: string): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} histogram`,
];

const linesOf = (name: string, labels: Labels, { buckets, counts, sum }: Observations): string[] => {
  const own = labelText(labels);
  const [first, all] = own === '' ? ['', ''] : [`${own},`, `{${own}}`];
  let seen = 0;
  const lines = counts.map((count, bucket) => {
    seen += count;
    return `${name}_bucket{${first}le="${String(buckets[bucket] ?? '+Inf')}"} ${seen}`;
  });
  return [...lines, `${name}_sum${all} ${sum}`, `${name}_count${all} ${seen}`];
};

interface DistributionFamily {
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  readonly series: () => readonly (readonly [Observations, Labels?])[];
}

/** What a service has counted by itself. */
export const histogramOf = ({ name, help, series }: DistributionFamily): { text(): string } => ({
  text() {
    const full = `${PREFIX}${name}`;
    const lines = series().flatMap(([distribution, labels = {}]) => linesOf(full, labels, distribution));
    return `${[...headOf(full, help), ...lines].join('\n')}\n`;
  },
});

export class Histogram {
  /** Bounded by the keys, which are names of ours. */
  readonly #series = new Map<string, Distribution>();
  readonly #options: HistogramOptions;

  constructor(options: HistogramOptions) {
    this.#options = options;
    for (const key of options.initialKeys ?? []) this.#seriesOf(key);
  }

  #seriesOf(key: string): Distribution {
    let series = this.#series.get(key);
    if (series === undefined) {
      series = new Distribution(this.#options.buckets);
      this.#series.set(key, series);
    }
    return series;
  }

  observe(key: string, value: number): void {
    this.#seriesOf(key).observe(value);
  }

  text(): string {
    const { name, help, labelsOf } = this.#options;
    const lines = [...this.#series].flatMap(([key, series]) => linesOf(name, labelsOf(key), series));
    return `${[...headOf(name, help), ...lines].join('\n')}\n`;
  }
}
