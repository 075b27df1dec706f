/** Content negotiation: Accept and Accept-Encoding with their q-values (RFC 9110, 12.5). */

/** Each item of the list in lower case with its q-value, 1 where there is none. */
const qualities = (list: string): ReadonlyMap<string, number> => {
  const found = new Map<string, number>();
  for (const item of list.toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim());
    const q = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split('=')[1];
    if (name !== '') found.set(name, q === undefined ? 1 : Number(q));
  }
  return found;
};

/** A client's preference for a media type, and how specific the range is that gives it: 2 its name, 1 `text/*`, 0 any. */
export interface Preference {
  readonly q: number;
  readonly specificity: number;
}

/** What an Accept header says of `type`, such as `application/json`: q is 0 where it does not accept it. */
export const qualityOf = (accept: string, type: string): Preference => {
  const found = qualities(accept);
  const ranges = [type, type.replace(/\/.*/, '/*'), '*/*'];
  for (const [index, range] of ranges.entries()) {
    const q = found.get(range);
    if (q !== undefined) return { q, specificity: 2 - index };
  }
  return { q: 0, specificity: 0 };
};

/** Whether an Accept header accepts `type`. The most specific range that matches decides. */
export const accepts = (accept: string | undefined, type: string): boolean =>
  accept === undefined ||
  accept === '' ||
  accept === '*/*' ||
  accept === type ||
  qualityOf(accept, type).q !== 0;

const choose = (acceptEncoding: string): boolean => {
  const found = qualities(acceptEncoding);
  const gzip = found.get('gzip') ?? found.get('x-gzip') ?? found.get('*') ?? 0;
  return gzip > 0 && gzip >= (found.get('identity') ?? 0);
};

/** The last header seen and what came of it: clients of one kind send the same one with every request. */
let last = { acceptEncoding: '', gzip: false };

/** Whether the client accepts Brotli; of the codings that a client accepts it is the one with the fewest bytes. */
export const acceptsBrotli = (acceptEncoding: string | undefined): boolean =>
  acceptEncoding !== undefined && (qualities(acceptEncoding).get('br') ?? 0) > 0;

/** Whether the client accepts gzip, and prefers it no less than bytes that are not compressed. */
export const prefersGzip = (acceptEncoding: string | undefined): boolean => {
  if (acceptEncoding === undefined) return false;
  if (acceptEncoding !== last.acceptEncoding) last = { acceptEncoding, gzip: choose(acceptEncoding) };
  return last.gzip;
};
