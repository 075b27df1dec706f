/** The headers of answers, as the OpenAPI document tells them. */
import type { AuthMode } from '../../schemas/access.js';

interface HeaderDoc {
  readonly description: string;
  readonly schema: { readonly type: 'string' | 'integer'; readonly example?: string | number };
}

const text = (description: string, example: string): HeaderDoc => ({
  description,
  schema: { type: 'string', example },
});
const whole = (description: string, example: number): HeaderDoc => ({
  description,
  schema: { type: 'integer', example },
});

type HeaderDocs = Readonly<Record<string, HeaderDoc>>;

export const COMMON_HEADERS: HeaderDocs = {
  'X-Request-Id': text(
    'The id of this request; an incoming one of at most 64 letters, digits and ._:/+=@- is kept',
    '3f9a1c-7k',
  ),
};

/** Present where a client limit, or the caller's plan, sets one. */
export const limitHeaders = (mode: AuthMode): HeaderDocs => ({
  ...(mode === 'off'
    ? {
        RateLimit: text('State of the client limit, where one is set', '"default";r=590;t=42'),
        'RateLimit-Policy': text(
          'The client limit: requests (q) per window in seconds (w)',
          '"default";q=600;w=60',
        ),
      }
    : {
        RateLimit: text(
          'What is left (r) for how many seconds (t) of each limit that the caller has: window, day, month',
          '"window";r=590;t=42, "day";r=48123;t=40210',
        ),
        'RateLimit-Policy': text(
          'The limits of the caller: requests or units (q) in so many seconds (w)',
          '"window";q=600;w=60, "day";q=50000;w=86400',
        ),
      }),
  'X-RateLimit-Limit': whole('Requests allowed per window', 600),
  'X-RateLimit-Remaining': whole('Requests left in this window', 590),
  'X-RateLimit-Reset': whole('Seconds until the window ends', 42),
});

const LIFE = 'max-age is the whole life of the answer: fresh for max-age less Age; 0 for STALE and LIVE';
const GZIP = 'gzip is sent to who accepts it, from a kilobyte on';
/** Answers depend on the caller: shared caches must not store them. */
const VARY_CREDENTIAL = 'Authorization, X-API-Key';

/** Where access is on. */
const PRIVATE_HEADERS: HeaderDocs = {
  'Cache-Control': text(`${LIFE}. Not for shared caches: callers differ`, 'private, max-age=2'),
  Vary: text(`Callers differ; ${GZIP}`, `Accept-Encoding, ${VARY_CREDENTIAL}`),
};

export const marketHeaders = (mode: AuthMode): HeaderDocs => ({
  'Cache-Control': text(LIFE, 'public, max-age=2'),
  Age: whole("Seconds since the exchange's answer arrived", 0),
  Vary: text(GZIP, 'Accept-Encoding'),
  ETag: text(
    'Strong validator of this form of the answer; send it back in If-None-Match',
    '"OTVou2TR0Q2aqISSYcgrL_wlieo"',
  ),
  'X-Cache': text(
    'HIT, MISS, STALE (the exchange fails; its last answer), LIVE (from a stream) or STORE (from the candle ledger)',
    'HIT',
  ),
  'Data-Source': text('Where the data came from', 'binance; via=rest'),
  ...(mode === 'off' ? {} : PRIVATE_HEADERS),
});

export const RETRY_AFTER: HeaderDocs = {
  'Retry-After': whole('Seconds after which asking again makes sense', 2),
};

/** Of refusals of a caller. */
export const CHALLENGE: HeaderDocs = {
  'WWW-Authenticate': text(
    'How to ask: error where a credential came, scope where one is lacking (RFC 6750)',
    'Bearer error="invalid_token"',
  ),
};

/** Of answers that may be CSV. */
export const CSV_HEADERS: HeaderDocs = {
  'Data-Gaps': text(
    'CSV: what is missing, as `<from>-<to>;<reason>`, several by commas, cut after 2 kB with `;truncated`',
    '1699000020000-1795306920000;not_available_from_exchange',
  ),
  'Data-Next-Since': text('CSV: since of the next request, where more candles follow', '1795306980000'),
  'Content-Disposition': text('Where a file is asked for', 'attachment; filename="binance-BTC-USDT-1m.csv"'),
};

/** Of market answers that are JSON or CSV. */
export const negotiatedHeaders = (mode: AuthMode): HeaderDocs => ({
  ...CSV_HEADERS,
  Vary: text(
    'Accept chooses between JSON and CSV; gzip from a kilobyte on',
    mode === 'off' ? 'Accept, Accept-Encoding' : `Accept, Accept-Encoding, ${VARY_CREDENTIAL}`,
  ),
});
