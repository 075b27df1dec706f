/** How far apart two names are, for suggestions after a typing error. */

/**
 * Letters to insert, delete, replace or swap with their neighbour to turn `a` into `b` (optimal string alignment), or
 * Infinity once it is certain to exceed `most`. Costs the product of both lengths: callers bound them.
 */
export const editDistance = (a: string, b: string, most = Infinity): number => {
  if (Math.abs(a.length - b.length) > most) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    let best = row;
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (last[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replaced, (last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (isSwap && row > 1 && column > 1) cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
      best = Math.min(best, cost);
    }
    if (best > most) return Infinity;
    beforeLast = last;
    last = current;
  }
  const distance = last[b.length] ?? Infinity;
  return distance > most ? Infinity : distance;
};

const MAX_SUGGESTIONS = 3;
/** A name that differs in more letters than this is another name, not a typing error. */
const MAX_TYPING_ERRORS = 3;

/** At most three candidates that `name` may be meant to be, likeliest first: near in letters, or beginning with it. */
export const nearestNames = (name: string, candidates: Iterable<string>): string[] => {
  const bound = Math.min(MAX_TYPING_ERRORS, Math.floor(name.length / 2));
  return [...candidates]
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .filter(({ candidate, distance }) => distance <= bound || candidate.startsWith(name))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ candidate }) => candidate);
};
