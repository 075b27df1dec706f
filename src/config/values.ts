/** The sorts of values that settings take: how each is read from text, and in which words a wrong one is refused. */
import { isIP } from 'node:net';
import { z } from 'zod';

/** A plain decimal; `1e3`, `0x1F90` and `Infinity` are refused, blanks around it have been cut before. */
const decimal = (words: string) =>
  z
    .string()
    .regex(/^[-+]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})$/, words)
    .transform(Number);

export interface NumberBounds {
  readonly min?: number;
  readonly max?: number;
}

/** A number that may have a fraction. `words` refuse what is none. */
export const fraction = (fallback: number, words: string, { min, max }: Required<NumberBounds>) =>
  decimal(words)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .default(fallback);

/** Seconds in the environment, whole milliseconds in what comes of it. */
export const seconds = (fallback: number, { min = 0, max = 86_400 }: NumberBounds = {}) =>
  decimal('must be a number of seconds')
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .default(fallback)
    .transform((value) => Math.round(value * 1000));

export const whole = (fallback: number, { min = 0, max = 1_000_000 }: NumberBounds = {}) =>
  decimal('must be a whole number')
    .pipe(
      z.int('must be a whole number').min(min, `must be at least ${min}`).max(max, `must be at most ${max}`),
    )
    .default(fallback);

/** One of a few words, in any case. */
export const word = <const Words extends readonly [string, ...string[]]>(words: Words, refusal: string) =>
  z.string().toLowerCase().pipe(z.enum(words, refusal));

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', '1', 'on'].map((text) => [text, true] as const),
  ...['false', 'no', '0', 'off'].map((text) => [text, false] as const),
]);

/** true, yes, 1 or on; false, no, 0 or off; in any case. undefined: neither. */
export const flagOf = (text: string): boolean | undefined => FLAGS.get(text.toLowerCase());

export const flag = (fallback: boolean) =>
  z
    .string()
    .refine((text) => flagOf(text) !== undefined, 'must be true or false')
    .transform((text) => flagOf(text) === true)
    .default(fallback);

/** What CCXT may be told about one exchange; anything else could overwrite its methods. */
const exchangeOptions = z.strictObject({
  rateLimit: z.number().min(1).max(60_000).optional(),
  hostname: z
    .string()
    .regex(/^[a-z0-9.-]{1,100}$/i, 'must be a host name')
    .optional(),
  userAgent: z.string().max(200).optional(),
  options: z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9_]*$/), z.json()).optional(),
});
export type ExchangeOptions = z.infer<typeof exchangeOptions>;

/** JSON by exchange id. */
export const exchangeOptionsByExchange = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({
        code: 'custom',
        message: 'must be JSON, for example {"binance":{"rateLimit":100}}',
      });
      return z.NEVER;
    }
  })
  .pipe(
    z.record(z.string().regex(/^[a-z0-9]+$/), exchangeOptions, {
      error: (issue) =>
        issue.code === 'invalid_key'
          ? 'must be an exchange id in lower case'
          : 'must be a JSON object by exchange id',
    }),
  )
  .default({});

/** CCXT ids in lower case, without repetitions. */
export const exchangeIds = z
  .string()
  .transform((text) => [
    ...new Set(
      text
        .split(',')
        .map((id) => id.trim().toLowerCase())
        .filter((id) => id !== ''),
    ),
  ])
  .pipe(
    z
      .array(z.string().regex(/^[a-z0-9_]{1,32}$/, 'must be CCXT exchange ids separated by commas'))
      .min(1, 'must name at least one exchange'),
  )
  .default(['binance', 'kraken', 'coinbasepro']);

/** Items between commas, without the empty ones. */
export const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** What Fastify takes for the address of a proxy: an IP, a network, or a name for some of them. */
export const isProxyAddress = (text: string): boolean => {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};

/** As browsers send it: scheme, host and port. `https://app.example/` is meant so; undefined for what has more. */
export const originOf = (text: string): string | undefined => {
  if (!URL.canParse(text)) return undefined;
  const { origin, pathname, search, hash, username, password } = new URL(text);
  const more = search !== '' || hash !== '' || username !== '' || password !== '' || /[?#]/.test(text);
  return origin === 'null' || pathname !== '/' || more ? undefined : origin;
};

/** An http(s) URL of a host with, at most, a path: nothing of what is left out here could be followed. */
export const isPlainHttpUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '' && !/[?#\s]/.test(text);
};

const isDecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
};

/** redis(s)://[user:password@]host[:port][/database]; what stands in it percent-encoded must be so in full. */
export const isRedisUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, pathname, username, password, hash } = new URL(text);
  return (
    /^rediss?:$/.test(protocol) &&
    hostname !== '' &&
    /^(\/\d{0,5})?$/.test(pathname) &&
    hash === '' &&
    [username, password].every(isDecodable)
  );
};

/** http(s)://[user:password@]host[:port]: what HTTP_PROXY and HTTPS_PROXY hold. */
export const isProxyUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, pathname, search, hash, username, password } = new URL(text);
  return (
    /^https?:$/.test(protocol) &&
    /^\/?$/.test(pathname) &&
    search === '' &&
    hash === '' &&
    [username, password].every(isDecodable)
  );
};

/** A host as the Host header names it: a name, an IPv4 address, or an IPv6 address in brackets; no port. */
export const isHostName = (text: string): boolean =>
  /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?$/i.test(text) ||
  (text.startsWith('[') && text.endsWith(']') && isIP(text.slice(1, -1)) === 6);

/** A host that only programs of this machine reach. */
export const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/** Empty, or the name of a plan. */
export const planName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{0,64}$/, 'must be the name of a plan: letters, digits, - and _');

/** Of the signatures that a token may have; none that is symmetric. */
const TOKEN_ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA'],
];

export const tokenAlgorithms = z.string().refine(
  (text) => {
    const named = list(text);
    return named.length > 0 && named.every((name) => TOKEN_ALGORITHMS.includes(name));
  },
  `must be names of ${TOKEN_ALGORITHMS.join(', ')}, separated by commas`,
);

const MAX_WATCHED = 100;

/** `exchange:symbol`, separated by commas; a symbol may have colons itself. */
export const watchedMarkets = z
  .string()
  .refine(
    (text) =>
      list(text).length <= MAX_WATCHED && list(text).every((item) => /^\w{1,32}:\S(.*\S)?$/.test(item)),
    `must be at most ${MAX_WATCHED} markets such as binance:BTC/USDT, separated by commas`,
  )
  .default('');

/** Who may frame a page, in the words of Content-Security-Policy. */
export const frameAncestors = z
  .string()
  .refine(
    (text) => /^(none|self)$/i.test(text) || list(text).every((item) => originOf(item) !== undefined),
    'must be none, self, or origins such as https://app.example, separated by commas',
  )
  .default('none')
  .transform((text) =>
    /^(none|self)$/i.test(text)
      ? `'${text.toLowerCase()}'`
      : list(text)
          .map((item) => originOf(item))
          .join(' '),
  );
