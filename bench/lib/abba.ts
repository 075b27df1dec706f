/** Interleaved rounds: drift of a shared machine hits both sides alike. */
import { single } from './figure.js';
import { spread, type Spread } from './statistics.js';

export interface Comparison {
  /** Per round product / floor. */
  readonly ratio: Spread;
  readonly product: Spread;
  readonly floor: Spread;
  /** Per round floor / floor of the same round: how far this machine's noise alone moves a ratio. */
  readonly control: Spread;
  /** The control stayed within 0.9–1.1; otherwise the ratio is no verdict. */
  readonly sound: boolean;
}

const once = (floor: number, product: number): Comparison => ({
  ratio: single(product / floor),
  product: single(product),
  floor: single(floor),
  control: single(1),
  sound: true,
});

/**
 * Runs floor, product, product, floor `rounds` times. Ratios are per round: the mean of the two product slices over
 * the mean of the two floor slices; the control is the second floor slice over the first. No rounds: one slice of
 * each, for runs that only check that there is something to count.
 */
export const abba = async (
  rounds: number,
  { floor, product }: { floor: () => Promise<number>; product: () => Promise<number> },
): Promise<Comparison> => {
  if (rounds === 0) return once(await floor(), await product());
  const floors: number[] = [];
  const products: number[] = [];
  const ratios: number[] = [];
  const controls: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const f1 = await floor();
    const p1 = await product();
    const p2 = await product();
    const f2 = await floor();
    floors.push(f1, f2);
    products.push(p1, p2);
    ratios.push((p1 + p2) / (f1 + f2));
    controls.push(f2 / f1);
  }
  const control = spread(controls);
  return {
    ratio: spread(ratios),
    product: spread(products),
    floor: spread(floors),
    control,
    sound: control.median >= 0.9 && control.median <= 1.1,
  };
};
