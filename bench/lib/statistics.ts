/** Order statistics of small samples. */

/** The q-quantile (0..1) by linear interpolation; NaN for an empty sample. */
export const quantile = (sample: readonly number[], q: number): number => {
  if (sample.length === 0) return Number.NaN;
  const sorted = [...sample].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
};

export interface Spread {
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
}

export const spread = (sample: readonly number[]): Spread => ({
  q1: quantile(sample, 0.25),
  median: quantile(sample, 0.5),
  q3: quantile(sample, 0.75),
});
