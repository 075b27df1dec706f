/** Metric families that are read from the services' counters at each scrape and cost nothing in between. */
import { Counter, Gauge, type Registry } from 'prom-client';

/** Before every name that is not the process's own. */
export const PREFIX = 'crypto_data_';

export type Labels = Readonly<Record<string, string>>;
/** One series of a family. Label values are names of ours (routes, exchanges, states), never a client's words. */
export type Sample = readonly [value: number, labels?: Labels];

export interface Family {
  /** Without the prefix; a counter's ends in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly samples: () => Iterable<Sample>;
}

/** Counters are totals that the service has kept since its start. */
export const addCounter = (registry: Registry, { name, help, labels = [], samples }: Family): void => {
  const counter = new Counter({
    name: PREFIX + name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      counter.reset();
      for (const [value, of = {}] of samples()) counter.inc(of, value);
    },
  });
};

export const addGauge = (registry: Registry, { name, help, labels = [], samples }: Family): void => {
  const gauge = new Gauge({
    name: PREFIX + name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      gauge.reset();
      // A reset leaves the series of a family without labels at 0; it is removed, so that no sample means no series.
      if (labels.length === 0) gauge.remove();
      for (const [value, of = {}] of samples()) gauge.set(of, value);
    },
  });
};
