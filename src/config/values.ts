/** The sorts of values that settings take: how each is read from text, and in which words a wrong one is refused. */
import { isIP } from 'node:net';
import { z } from 'zod';

/** Seconds in the environment, whole milliseconds in what comes of it. */
export const seconds = (fallback: number, { min = 0, max = 86_400 } = {}) =>
  z.coerce
    .number('must be a number of seconds')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`)
    .default(fallback)
    .transform((value) => Math.round(value * 1000));

export const whole = (fallback: number, { min = 0, max = 1_000_000 } = {}) =>
  z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`)
    .default(fallback);

export const flag = (fallback: boolean) =>
  z
    .string()
    .toLowerCase()
    .pipe(z.enum(['true', 'false', '1', '0', 'yes', 'no', 'on', 'off'], 'must be true or false'))
    .transform((text) => ['true', '1', 'yes', 'on'].includes(text))
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

/** As browsers send it: scheme, host and port, no path. */
export const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;
