export type Observations = Pick<Distribution, 'buckets' | 'counts' | 'sum'>;

/** Observations by size, counted in buckets: what a histogram of metrics is made of. */
export class Distribution {
  /** Upper bounds, ascending; the last, +Inf, is implied. */
  readonly buckets: readonly number[];
  /** Observations within each bucket's own range, not cumulative; the last place is +Inf. */
  readonly counts: number[];
  #sum = 0;

  constructor(buckets: readonly number[]) {
    this.buckets = buckets;
    this.counts = new Array<number>(buckets.length + 1).fill(0);
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    let bucket = 0;
    while (value > (this.buckets[bucket] ?? Infinity)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }
}
