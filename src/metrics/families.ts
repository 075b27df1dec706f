/** Metric families, read from the services' counters at each scrape: they cost nothing in between. */

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

/** Takes the families at the first scrape. */
export interface Registry {
  /** Counters are totals that the service has kept since its start. */
  addCounter(family: Family): void;
  addGauge(family: Family): void;
  /** What writes itself in Prometheus' text format. */
  addHistogram(histogram: { text(): string }): void;
}
