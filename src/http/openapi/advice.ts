/** For each error code: what a caller reads in an answer, and what to do about it. Shown at /docs/errors. */
import type { AppErrorDetails, ErrorCode } from '../../errors.js';

export interface Advice {
  /** What the code says, for docs/errors.md (`npm run docs`); Markdown. */
  readonly meaning: string;
  /** Example of `detail`. */
  readonly detail: string;
  readonly advice: string;
  readonly details?: Pick<
    AppErrorDetails,
    'retryAfterMs' | 'upstream' | 'errors' | 'requiredScopes' | 'violatedPolicies'
  >;
}

const NO_SUCH_SYMBOL = 'binance has no BTC/USTD. Did you mean BTC/USDT, BTC/USDC, BTC/EUR?';
const INTERVALS = 'coinbaseexchange offers 1m, 5m, 15m, 1h, 6h, 1d';

/** A test provokes each of these errors: the examples are the server's own words. */
export const ADVICE: Readonly<Record<ErrorCode, Advice>> = {
  invalid_request: {
    meaning: 'A parameter is missing, malformed, unknown or repeated; `errors` says which and why',
    detail: 'exchange is required, for example binance.',
    advice: 'Correct the parameters named in errors.',
    details: { errors: [{ parameter: 'exchange', reason: 'is required, for example binance' }] },
  },
  graphql_parse_failed: {
    meaning: 'A GraphQL document is not written as GraphQL, or has too many tokens',
    detail: 'Syntax Error: Expected Name, found <EOF>.',
    advice: 'Correct the document at the place that locations name.',
  },
  graphql_validation_failed: {
    meaning: 'A GraphQL document asks for what the schema does not have',
    detail: 'Cannot query field "price" on type "Ticker".',
    advice: 'Correct the document by /schema.graphql.',
  },
  query_too_complex: {
    meaning: 'A GraphQL operation passes a limit; `limit` is the number that is allowed',
    detail: 'The operation has 41 aliases, fragments expanded; at most 30 are allowed (GRAPHQL_MAX_ALIASES).',
    advice: 'Ask for less at once, or for many markets by one `tickers` field.',
  },
  batch_not_allowed: {
    meaning: 'A GraphQL request holds more operations than this server takes at once',
    detail: 'A request may hold at most 1 operation (GRAPHQL_MAX_BATCH).',
    advice: 'Send each operation by itself.',
  },
  persisted_query_not_found: {
    meaning: 'This server does not know the hash of a persisted GraphQL query; comes with status 200',
    detail: 'PersistedQueryNotFound',
    advice: 'Send the text with the hash; clients with automatic persisted queries do so by themselves.',
  },
  unknown_exchange: {
    meaning: 'CCXT has no exchange of this name',
    detail: 'No exchange is called binanse. Did you mean binance?',
    advice: 'Use an id from /v1/exchanges.',
    details: { errors: [{ parameter: 'exchange', reason: 'Did you mean binance?' }] },
  },
  exchange_not_enabled: {
    meaning: 'CCXT has it, this server does not',
    detail: 'The exchange okx is not enabled on this server. Enabled: binance, kraken, coinbasepro.',
    advice: 'Use an enabled one, or have it added to ENABLED_EXCHANGES.',
    details: { errors: [{ parameter: 'exchange', reason: 'must be one of binance, kraken, coinbasepro' }] },
  },
  symbol_not_found: {
    meaning: 'The exchange does not list this symbol; the nearest ones are suggested',
    detail: NO_SUCH_SYMBOL,
    advice: 'Use a symbol from /v1/markets; the nearest ones are suggested.',
    details: { errors: [{ parameter: 'symbol', reason: NO_SUCH_SYMBOL }] },
  },
  interval_not_supported: {
    meaning: 'The exchange has no candles of this interval; its own are listed',
    detail: `${INTERVALS}.`,
    advice: 'Use one of the intervals that the exchange itself offers; /v1/exchanges lists them.',
    details: { errors: [{ parameter: 'interval', reason: INTERVALS }] },
  },
  not_supported_by_exchange: {
    meaning: 'The exchange does not offer this kind of data',
    detail: 'bitflyer offers no ohlcv data this way.',
    advice: 'See capabilities in /v1/exchanges, or ask another exchange.',
  },
  credential_in_url: {
    meaning: 'A key stands in the URL, where proxies and histories keep it',
    detail:
      'A key must not stand in a URL. Send it in the header Authorization or X-API-Key, and replace this one.',
    advice: 'Send the key in a header, and have it rotated: it counts as leaked.',
  },
  unauthenticated: {
    meaning: 'The request brings no credential, and this address asks for one',
    detail: 'This address asks for a credential: Authorization: Bearer <key>, or X-API-Key.',
    advice: 'Send a key or a token in a header.',
  },
  invalid_credentials: {
    meaning: 'The credential is malformed, unknown or wrong',
    detail: 'The credential is not valid.',
    advice: 'Check the key or the token, and the header that it stands in.',
  },
  credentials_expired: {
    meaning: 'The credential was right, and its time is over',
    detail: 'The credential has expired.',
    advice: 'Use a new key or a new token.',
  },
  credentials_revoked: {
    meaning: 'The credential was right, and was revoked',
    detail: 'The credential was revoked.',
    advice: 'Ask the operator for a new key.',
  },
  ticket_invalid: {
    meaning: 'The ticket is unknown, used, expired, or was made for another purpose or origin',
    detail: 'The ticket is not valid.',
    advice: 'Take a new ticket for each connection: POST /v1/tickets.',
  },
  insufficient_scope: {
    meaning: 'The credential lacks a scope that this address asks for; `required_scopes` names it',
    detail: 'This address asks for the scope stream:read.',
    advice: 'Use a credential that has the scope.',
    details: { requiredScopes: ['stream:read'] },
  },
  plan_forbids: {
    meaning: 'The plan of the caller does not include what was asked for',
    detail: 'The plan does not include the exchange kraken.',
    advice: 'Ask for what the plan includes (GET /v1/me shows it), or have the plan changed.',
  },
  feature_disabled: {
    meaning: 'Something that this server offers only where a setting says so',
    detail: 'Backfills are started here only where BACKFILL_API=true.',
    advice: 'Ask the operator to turn the feature on.',
  },
  origin_not_allowed: {
    meaning: 'A page of another origin tried to open a WebSocket or to call `/mcp`',
    detail: 'Pages of this origin may not connect to this server.',
    advice: 'Name the origin of the page in CORS_ORIGIN, or call from a program, which sends no Origin.',
    details: {
      errors: [{ parameter: 'Origin', reason: 'is not one of the origins that may connect (CORS_ORIGIN)' }],
    },
  },
  not_found: {
    meaning: 'There is nothing at this address',
    detail: 'There is nothing here.',
    advice: 'See /docs for the addresses there are.',
  },
  method_not_allowed: {
    meaning: 'The address exists, the method does not; `Allow` lists those that do',
    detail: 'POST is not possible here; possible: GET, HEAD, OPTIONS.',
    advice: 'Use a method of the Allow header.',
  },
  not_acceptable: {
    meaning: 'The `Accept` header leaves no room for what this address answers',
    detail: 'This address answers with application/json only.',
    advice: 'Accept application/json, or send no Accept header.',
  },
  request_timeout: {
    meaning: 'The request did not arrive in time',
    detail: 'The request did not arrive in time.',
    advice: 'Send the whole request at once, its headers within 10 seconds.',
  },
  payload_too_large: {
    meaning: 'The body is larger than this server reads',
    detail: 'The body is larger than this server reads.',
    advice: 'Send less.',
  },
  uri_too_long: {
    meaning: 'The URL is longer than 2048 characters',
    detail: 'The URL is longer than 2048 characters.',
    advice: 'Shorten the query.',
  },
  unsupported_media_type: {
    meaning: 'The body is of a type that the address does not read',
    detail: 'GraphQL takes bodies of application/json only.',
    advice: 'Send JSON with Content-Type: application/json.',
  },
  expectation_failed: {
    meaning: 'The `Expect` header asks for what this server does not do',
    detail: 'No expectation but 100-continue can be met.',
    advice: 'Send no Expect header, or 100-continue.',
  },
  headers_too_large: {
    meaning: 'Request line and headers are longer than 16 kB',
    detail: 'Request line and headers are longer than 16384 bytes.',
    advice: 'Send fewer or shorter headers; cookies are often the cause.',
  },
  upstream_rate_limited: {
    meaning: 'The exchange said "too many requests" and is left alone until it is over',
    detail: 'binance says that it got too many requests.',
    advice: 'Wait for Retry-After. If it happens often, lower RATE_LIMIT_REQUESTS or raise the cache TTLs.',
    details: { retryAfterMs: 30_000, upstream: { exchange: 'binance', status: 429 } },
  },
  upstream_budget_exhausted: {
    meaning: "This server's own budget for the exchange, or its pace, leaves no slot in time",
    detail: "This server's own request budget for kraken is used up.",
    advice: 'Wait for Retry-After, or raise RATE_LIMIT_REQUESTS within what the exchange allows.',
    details: { retryAfterMs: 12_000, upstream: { exchange: 'kraken' } },
  },
  client_rate_limited: {
    meaning:
      'You asked more often than `CLIENT_RATE_LIMIT_REQUESTS` allows, or sent too many messages on `/ws`',
    detail: 'More than 600 requests within 60 seconds.',
    advice: 'Wait for Retry-After; the RateLimit headers tell what is left. A stream saves polling.',
    details: { retryAfterMs: 17_000, violatedPolicies: ['window'] },
  },
  quota_exceeded: {
    meaning:
      'The units of the day or the month are used up, or fewer than the request costs; `violated_policies` says which',
    detail: 'All 50000 units of this day are used up.',
    advice: 'Wait as Retry-After says, or have the plan changed.',
    details: { retryAfterMs: 40_210_000, violatedPolicies: ['day'] },
  },
  stream_limit_reached: {
    meaning: 'Your address has all the streams that it may have at once (`STREAM_MAX_PER_CLIENT`)',
    detail: 'This address has all the streams that it may have at once: 1.',
    advice: 'Close streams that you no longer need, or put several subscriptions on one /ws connection.',
    details: { retryAfterMs: 5_000 },
  },
  too_many_auth_failures: {
    meaning: 'Too many requests with wrong credentials came from this address',
    detail: 'More than 20 requests with wrong credentials within 60 seconds.',
    advice: 'Correct the credential, and wait as Retry-After says.',
    details: { retryAfterMs: 41_000 },
  },
  internal_error: {
    meaning: "A bug of this server; never an exchange's doing",
    detail: 'An unexpected fault occurred.',
    advice: 'A bug of this server: report it with the request_id, under which it is logged.',
  },
  upstream_error: {
    meaning: 'The exchange refused the request for a reason of its own',
    detail: 'binance refused the request.',
    advice: 'The exchange refused for a reason of its own; asking again will not help.',
    details: { upstream: { exchange: 'binance', status: 400 } },
  },
  upstream_bad_response: {
    meaning: 'The exchange answered with something that makes no sense (HTML, cut or empty JSON)',
    detail: 'kraken gave an answer that makes no sense.',
    advice: 'Ask again later; if it stays, the exchange has changed its API.',
    details: { upstream: { exchange: 'kraken', status: 200 } },
  },
  upstream_geo_blocked: {
    meaning: 'The exchange does not serve the place this server runs in',
    detail: 'binance does not serve the place that this server runs in.',
    advice: 'Run the server elsewhere, set HTTPS_PROXY, or use another exchange (for example binanceus).',
    details: { upstream: { exchange: 'binance', status: 451 } },
  },
  upstream_auth_required: {
    meaning: 'The exchange wants a key for this',
    detail: 'coinbaseexchange wants credentials for this.',
    advice: 'Use another exchange: this server holds no keys.',
    details: { upstream: { exchange: 'coinbaseexchange', status: 401 } },
  },
  auth_unavailable: {
    meaning: 'What credentials are checked against cannot be reached',
    detail: 'Credentials cannot be checked at the moment.',
    advice: 'Try again after Retry-After.',
    details: { retryAfterMs: 1_000 },
  },
  upstream_unavailable: {
    meaning: 'The exchange is unreachable or failing, or its circuit is open',
    detail: 'kraken is unreachable or failing.',
    advice: 'Ask again after Retry-After; /v1/health/ready tells the state of each exchange.',
    details: { upstream: { exchange: 'kraken', status: 502 } },
  },
  upstream_timeout: {
    meaning:
      'The exchange did not answer within `UPSTREAM_TIMEOUT`, or all attempts within `REQUEST_TIMEOUT`',
    detail: 'binance did not answer in time.',
    advice: 'Ask again after Retry-After, or raise UPSTREAM_TIMEOUT and REQUEST_TIMEOUT.',
    details: { upstream: { exchange: 'binance' } },
  },
  upstream_maintenance: {
    meaning: 'The exchange says that it is under maintenance',
    detail: 'kraken is under maintenance.',
    advice: "Ask again after Retry-After; see the exchange's status page.",
    details: { retryAfterMs: 60_000, upstream: { exchange: 'kraken', status: 503 } },
  },
  overloaded: {
    meaning: 'This server has more work, or more stream clients, than it can serve in time',
    detail: 'This server has more requests than it can answer in time.',
    advice: 'Ask again after Retry-After; run more servers behind a balancer if it happens often.',
    details: { retryAfterMs: 2_000 },
  },
  shutting_down: {
    meaning: 'This server is stopping',
    detail: 'This server is shutting down.',
    advice: 'Ask again: a balancer sends you to another server.',
    details: { retryAfterMs: 1_000 },
  },
};
