// Deterministic pseudo-randomness: everything the sandbox invents is a hash of its seed, so nothing needs to be stored.

/** Mixes an integer into a 32-bit key (the finaliser of MurmurHash3). Integers above 2^32 wrap around. */
export function mix(key: number, value: number): number {
  let h = key ^ Math.imul(value | 0, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A 32-bit key as a fraction in [0, 1). */
export const unit = (key: number): number => key / 0x1_0000_0000;

/** Mixes a name into a key. */
export function mixText(key: number, text: string): number {
  let h = key;
  for (let i = 0; i < text.length; i += 1) h = mix(h, text.charCodeAt(i));
  return h;
}

/** Smooth noise in [-1, 1] with one hashed value at every integer `x` (value noise). */
export function valueNoise(key: number, x: number): number {
  const cell = Math.floor(x);
  const t = x - cell;
  const left = unit(mix(key, cell)) * 2 - 1;
  const right = unit(mix(key, cell + 1)) * 2 - 1;
  return left + (right - left) * t * t * (3 - 2 * t);
}
