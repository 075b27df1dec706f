/** What a client takes: Accept and Accept-Encoding with their q-values (RFC 9110, 12.5). */

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

/** Does an Accept header leave room for `type`, such as `application/json`? The most specific range that fits decides. */
export const accepts = (accept: string | undefined, type: string): boolean => {
  if (accept === undefined || accept === '' || accept === '*/*' || accept === type) return true;
  const found = qualities(accept);
  const [kind = ''] = type.split('/');
  const decisive = [type, `${kind}/*`, '*/*'].find((range) => found.has(range));
  return decisive !== undefined && found.get(decisive) !== 0;
};

const choose = (acceptEncoding: string): boolean => {
  const found = qualities(acceptEncoding);
  const gzip = found.get('gzip') ?? found.get('x-gzip') ?? found.get('*') ?? 0;
  return gzip > 0 && gzip >= (found.get('identity') ?? 0);
};

/** The last header seen and what came of it: clients of one kind send the same one with every request. */
let last = { acceptEncoding: '', gzip: false };

/** Does the client take gzip, and like it no less than bytes that are not compressed? */
export const prefersGzip = (acceptEncoding: string | undefined): boolean => {
  if (acceptEncoding === undefined) return false;
  if (acceptEncoding !== last.acceptEncoding) last = { acceptEncoding, gzip: choose(acceptEncoding) };
  return last.gzip;
};
