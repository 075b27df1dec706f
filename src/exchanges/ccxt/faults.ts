/**
 * What went wrong at a venue, as one of the codes of src/errors.ts. The answer's status and body decide wherever they say
 * something certain; CCXT's class only where the venue worded its refusal in JSON, since CCXT blurs the rest (a geo-block
 * is "not available", a 429 is "DDoS protection"; docs/ccxt.md#errors has the table). Messages are ours: CCXT's carry URLs
 * and whole bodies.
 */
import { AppError, type ErrorCode } from '../../errors.js';
import { diagnosisOfAnswer, diagnosisOfCause } from '../../lib/diagnosis.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { parseRetryAfter } from '../rate-limit/retry-after.js';
import { NOT_JSON, UnreadableBodyError, type VenueResponse } from './http/response-body.js';

/** Body text that is searched for words; block pages and JSON errors say it at their start. */
const SEARCHED_LENGTH = 4096;

/** Scripts and tags hold words such as `location` that are not part of the text. */
const readable = (body: string): string =>
  body
    .slice(0, SEARCHED_LENGTH)
    .replace(/<(script|style)\b[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ');

const PLACE =
  /\b(?:country|countries|regions?|jurisdictions?|territor(?:y|ies)|restricted locations?|(?:your|this|the) (?:current )?location|geo[- ]?(?:block|restrict|fenc)\w*)\b/i;

const TOO_FREQUENT =
  /\btoo (?:frequent|many (?:requests?|visits?|api|calls?|connections?)|much (?:traffic|request))|\brate ?-?_?limit|\bratelimit|\baccess frequen|\bfrequen(?:cy|tly)\b|request limit|throttl|\b(?:ip|address)\b[^.]{0,40}\bban(?:ned)?\b|\bban(?:ned)? until\b|temporar\w+ (?:ban|lock)\w*/i;

const REFUSED =
  /\b(?:invalid|illegal|unknown|unsupported|malformed|missing|required|no such|bad request|not (?:found|exist\w*|supported|allowed|valid|recogni[sz]ed)|(?:does|do|did)(?: not|n't) exist|must (?:be|have|not)|parameters?)\b/i;
/** A server that says so has not understood anything. */
const BROKEN =
  /\b(?:internal|unavailable|time-?d?[ -]?out|overload\w*|maintenance|again|later|temporar\w+|busy|gateway|upstream|exception|panic)\b/i;

const isMaintenance = (body: string): boolean => /maintenance/i.test(readable(body));

/** The venue does not serve the place that the request came from. */
const namesPlace = (body: string): boolean => PLACE.test(readable(body));

/** Too many requests, or a ban for them. */
const saysTooFrequent = (body: string): boolean => TOO_FREQUENT.test(readable(body));

/** The venue has understood the request and will not have it, whatever its status says. */
const isWordedRefusal = (body: string): boolean => {
  const text = readable(body);
  return REFUSED.test(text) && !BROKEN.test(text);
};

/** What is known of a venue's refusals beforehand. */
export interface RefusalWords {
  /** Body text that means "no such symbol" where CCXT's class does not say so. */
  readonly unknownSymbol: RegExp | null;
  /** A 403 that does not name a place is the venue's limit on requests. */
  readonly forbiddenIsTooFrequent: boolean;
}

const MESSAGES = {
  symbol_not_found: 'does not know this symbol.',
  not_supported_by_exchange: 'does not offer this.',
  upstream_rate_limited: 'says that it got too many requests.',
  upstream_error: 'refused the request.',
  upstream_bad_response: 'gave an answer that makes no sense.',
  upstream_geo_blocked: 'does not serve the place that this server runs in.',
  upstream_auth_required: 'wants credentials for this.',
  upstream_unavailable: 'is unreachable or failing.',
  upstream_timeout: 'did not answer in time.',
  upstream_maintenance: 'is under maintenance.',
} as const satisfies Partial<Record<ErrorCode, string>>;
export type FaultCode = keyof typeof MESSAGES;

interface FaultDetails {
  readonly status?: number | undefined;
  readonly retryAfterMs?: Millis | undefined;
  readonly confined?: boolean | undefined;
  readonly cause?: unknown;
  /** Default: the cause's own words. */
  readonly diagnosis?: string | undefined;
}

/** CCXT's messages hold whole bodies, megabytes perhaps: what goes into a log is cut. */
const MAX_CAUSE_LENGTH = 300;
const bounded = (cause: unknown): unknown =>
  cause instanceof Error && cause.message.length > MAX_CAUSE_LENGTH
    ? new Error(`${cause.constructor.name}: ${cause.message.slice(0, MAX_CAUSE_LENGTH)}…`)
    : cause;

const fault = (exchange: ExchangeId, code: FaultCode, details: FaultDetails = {}): AppError => {
  const { status, retryAfterMs, confined, cause } = details;
  const diagnosis = details.diagnosis ?? (cause === undefined ? undefined : diagnosisOfCause(cause));
  return new AppError(code, `${exchange} ${MESSAGES[code]}`, {
    upstream: { exchange, status },
    retryAfterMs,
    confined,
    diagnosis,
    cause: bounded(cause),
  });
};

/** `diagnosis`: what was waited for and how long, where that is known. */
export const timedOut = (exchange: ExchangeId, diagnosis?: string): AppError =>
  fault(exchange, 'upstream_timeout', { diagnosis });

/** No answer: refused, reset, cut, unresolved, TLS, not HTTP, too slow, too large. `host`: that was asked, if known. */
export const faultOfConnection = (exchange: ExchangeId, cause: unknown, host?: string): AppError => {
  if (cause instanceof AppError) return cause;
  const diagnosis = diagnosisOfCause(cause, host);
  if (cause instanceof UnreadableBodyError)
    return fault(exchange, 'upstream_bad_response', { cause, diagnosis });
  const code = codeOf(cause);
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')
    return fault(exchange, 'upstream_bad_response', { cause, diagnosis });
  const slow = code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' || nameOf(cause) === 'AbortError';
  return fault(exchange, slow ? 'upstream_timeout' : 'upstream_unavailable', { cause, diagnosis });
};

const memberText = (value: unknown, key: 'code' | 'name'): string => {
  if (typeof value !== 'object' || value === null || !(key in value)) return '';
  const member: unknown = (value as Readonly<Record<string, unknown>>)[key];
  return typeof member === 'string' ? member : '';
};
const codeOf = (value: unknown): string => memberText(value, 'code');
const nameOf = (value: unknown): string => memberText(value, 'name');

const isEmptyObject = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && !Array.isArray(json) && Object.keys(json).length === 0;

/** A 403 is a block by place only where it says so; firewalls answer it to too many requests too. */
const codeOfForbidden = (body: string, { forbiddenIsTooFrequent }: RefusalWords): FaultCode => {
  if (namesPlace(body)) return 'upstream_geo_blocked';
  return forbiddenIsTooFrequent || saysTooFrequent(body) ? 'upstream_rate_limited' : 'upstream_error';
};

/** What an answer is whatever CCXT says of it; null where CCXT is to judge. */
export const codeOfAnswer = (
  { status, body, json }: VenueResponse,
  words: RefusalWords,
): FaultCode | null => {
  if (status === 418 || status === 429) return 'upstream_rate_limited';
  if (status === 451) return 'upstream_geo_blocked';
  if (status === 401) return 'upstream_auth_required';
  if (status === 408) return 'upstream_timeout';
  if (status >= 300 && status < 400) return 'upstream_bad_response';
  if (json !== NOT_JSON && status >= 300) return null;
  if (json !== NOT_JSON && !isEmptyObject(json)) return null;
  if (status >= 200 && status < 300) return 'upstream_bad_response';
  if (status === 403) return codeOfForbidden(body, words);
  if (status === 503 && isMaintenance(body)) return 'upstream_maintenance';
  return status >= 500 && status < 600 ? 'upstream_unavailable' : 'upstream_error';
};

/** How an answer became a fault. `coolDownMs`: how long the gate now keeps requests back, where it does. */
export interface FaultContext {
  readonly response: VenueResponse;
  readonly coolDownMs: Millis | undefined;
  readonly now: Millis;
  /** What CCXT threw; for the log, never for callers. */
  readonly cause?: unknown;
}

const retryAfterOf = (code: FaultCode, { response, coolDownMs, now }: FaultContext): Millis | undefined => {
  if (code === 'upstream_rate_limited') return coolDownMs;
  const waits = code === 'upstream_unavailable' || code === 'upstream_maintenance';
  return waits ? (parseRetryAfter(response.headers, now) ?? undefined) : undefined;
};

/** JSON with a 200 that is none of the venue's shapes: what was asked about makes it so, and will again. */
const isConfined = (code: FaultCode, { status, json }: VenueResponse): boolean =>
  code === 'upstream_bad_response' && json !== NOT_JSON && status < 300;

export const faultOfAnswer = (exchange: ExchangeId, code: FaultCode, context: FaultContext): AppError =>
  fault(exchange, code, {
    status: context.response.status,
    retryAfterMs: retryAfterOf(code, context),
    confined: isConfined(code, context.response),
    diagnosis: diagnosisOfAnswer(context.response),
    cause: context.cause,
  });

/** By CCXT's class, nearest first along the prototype chain: the first name of a thrown error's chain that is here. */
const CODES_BY_CLASS: ReadonlyMap<string, FaultCode> = new Map<string, FaultCode>([
  ['BadSymbol', 'symbol_not_found'],
  // This server never asks for orders: it is Coinbase's "NotFound" for a product.
  ['OrderNotFound', 'symbol_not_found'],
  ['RestrictedLocation', 'upstream_geo_blocked'],
  ['AuthenticationError', 'upstream_auth_required'],
  ['NotSupported', 'not_supported_by_exchange'],
  ['ArgumentsRequired', 'not_supported_by_exchange'],
  ['DDoSProtection', 'upstream_rate_limited'],
  ['RateLimitExceeded', 'upstream_rate_limited'],
  ['OnMaintenance', 'upstream_maintenance'],
  ['InvalidNonce', 'upstream_bad_response'],
  ['RequestTimeout', 'upstream_timeout'],
  ['ExchangeClosedByUser', 'upstream_unavailable'],
  ['NetworkError', 'upstream_unavailable'],
  ['OperationFailed', 'upstream_bad_response'],
  ['BaseError', 'upstream_error'],
]);

const classNames = (thrown: unknown): string[] => {
  const names: string[] = [];
  let prototype: unknown = typeof thrown === 'object' ? thrown : null;
  while (typeof prototype === 'object' && prototype !== null) {
    prototype = Object.getPrototypeOf(prototype);
    const named: unknown = (prototype as { readonly constructor?: unknown } | null)?.constructor;
    if (typeof named === 'function') names.push(named.name);
  }
  return names;
};

/** CCXT's own words for an update that does not follow the one before it, or does not agree with its checksum. */
export const isNonceFault = (thrown: unknown): boolean => classNames(thrown).includes('InvalidNonce');

const codeByClass = (thrown: unknown): FaultCode | undefined => {
  for (const name of classNames(thrown)) {
    const code = CODES_BY_CLASS.get(name);
    if (code !== undefined) return code;
  }
  return undefined;
};

/** Refusals that keep CCXT's word whatever the status is. */
const CERTAIN = new Set<FaultCode>([
  'symbol_not_found',
  'upstream_geo_blocked',
  'upstream_auth_required',
  'upstream_rate_limited',
  'upstream_maintenance',
]);

const codeOfRefusal = (thrown: unknown, response: VenueResponse, words: RefusalWords): FaultCode => {
  const { status, body } = response;
  const code = codeByClass(thrown) ?? 'upstream_bad_response';
  if (words.unknownSymbol?.test(body) === true) return 'symbol_not_found';
  const mayBePlace = code === 'upstream_auth_required' || code === 'upstream_error';
  if (mayBePlace && namesPlace(body)) return 'upstream_geo_blocked';
  if (CERTAIN.has(code)) return code;
  if (saysTooFrequent(body)) return 'upstream_rate_limited';
  if (status === 403) return codeOfForbidden(body, words);
  if (status >= 500) return codeOfServerError(response, classNames(thrown).includes('BadRequest'));
  // A venue that words its refusal in JSON is there and has understood: CCXT takes any bare 400 for an outage.
  if (status >= 400) return code === 'upstream_timeout' ? code : 'upstream_error';
  return code;
};

/** A 5xx that words a refusal (Bitfinex: `limit: invalid`) is no outage: it is not retried and does not count against the venue. */
const codeOfServerError = ({ status, body }: VenueResponse, isKnownRefusal: boolean): FaultCode => {
  if (isKnownRefusal || isWordedRefusal(body)) return 'upstream_error';
  return status === 503 && isMaintenance(body) ? 'upstream_maintenance' : 'upstream_unavailable';
};

/** What a JSON answer is that CCXT refused with `thrown`; with undefined CCXT took it, but its status is no success. */
export const codeOfRefused = (thrown: unknown, response: VenueResponse, words: RefusalWords): FaultCode => {
  if (thrown !== undefined) return codeOfRefusal(thrown, response, words);
  const { status, body } = response;
  if (saysTooFrequent(body)) return 'upstream_rate_limited';
  if (status === 403) return codeOfForbidden(body, words);
  return status >= 500 && status < 600 ? codeOfServerError(response, false) : 'upstream_error';
};

/**
 * Anything that CCXT threw without an answer behind it: its WebSocket side, its checks of arguments, and its parsers
 * falling over an answer that they did not expect.
 */
export const faultOfCcxt = (exchange: ExchangeId, thrown: unknown): AppError => {
  if (thrown instanceof AppError) return thrown;
  const code = codeByClass(thrown);
  if (code !== undefined) return fault(exchange, code, { cause: thrown });
  // Raw socket and TLS errors have codes; a parser that fell over has none.
  return codeOf(thrown) === ''
    ? fault(exchange, 'upstream_bad_response', { cause: thrown, confined: true })
    : faultOfConnection(exchange, thrown);
};
