/** Reading a venue's payload by the names in its documentation: never through CCXT. */

/** `a.b.0`; a leading `/` starts at the whole answer, where others start at the row. */
export type Path = string;
/** A member of a row, or what has to be worked out of it. */
export type Read = Path | ((row: unknown) => unknown);
export interface Time {
  readonly at: Read;
  /** The instant in milliseconds, with a fraction where the venue has one. */
  readonly instant: (value: unknown) => number;
}

export const at = (value: unknown, path: Path): unknown => {
  let found = value;
  for (const key of path === '' ? [] : path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = Reflect.get(found, key) as unknown;
  }
  return found;
};

export interface Place {
  readonly row: unknown;
  readonly answer: unknown;
}

export const read = ({ row, answer }: Place, wanted: Read): unknown => {
  if (typeof wanted === 'function') return wanted(row);
  return wanted.startsWith('/') ? at(answer, wanted.slice(1)) : at(row, wanted);
};

export const ms = (path: Read): Time => ({ at: path, instant: Number });
export const seconds = (path: Read): Time => ({ at: path, instant: (value) => Number(value) * 1000 });
export const nanos = (path: Read): Time => ({
  at: path,
  instant: (value) => Number(BigInt(String(value)) / 1_000_000n),
});
/** Without a zone it is UTC. */
export const iso = (path: Read): Time => ({
  at: path,
  instant: (value) => {
    const text = String(value);
    return Date.parse(/Z|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);
  },
});

/** A figure of the payload: a price of 0 is how venues write "none" (docs/limits-and-venues.md). */
export const amountOf = (value: unknown): number | null => {
  const figure = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof figure === 'number' && Number.isFinite(figure) ? figure : null;
};
export const priceOf = (value: unknown): number | null => (amountOf(value) === 0 ? null : amountOf(value));
export const idOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : null;
export const timeOf = (place: Place, time: Time): number =>
  Math.floor(Number(time.instant(read(place, time.at)).toFixed(3)));

const EARLIEST = Date.UTC(2009, 0, 1);
const LATEST = Date.UTC(2040, 0, 1);
/** Milliseconds, seconds, micro- and nanoseconds since the epoch. */
const UNITS = [1, 1000, 1 / 1_000, 1 / 1_000_000];
const TIME_NAME = /time|(?<!up)date|^ts$|^t$|^E$|^C$|At$|_at$/i;

/** Whether a member looks like a moment of market data. */
const isMoment = (name: string, value: unknown): boolean => {
  if (!TIME_NAME.test(name)) return false;
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return true;
  const figure = Number(value === '' ? Number.NaN : value);
  return UNITS.some((unit) => figure * unit > EARLIEST && figure * unit < LATEST);
};

/** Paths of all members of an answer that look like moments, so that none is overlooked. */
export const momentsIn = (value: unknown, under = ''): string[] => {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, held]) => {
    const path = under === '' ? name : `${under}.${name}`;
    return isMoment(name, held) ? [path] : momentsIn(held, path);
  });
};
