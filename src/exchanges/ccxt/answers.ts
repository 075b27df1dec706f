/** What CCXT does with an answer, redone on one that the transport has already read and parsed. */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { UpstreamGate } from '../rate-limit/upstream-gate.js';
import type { CcxtExchange } from './ccxt-exchange.js';
import { PageRefusedError, pageRefusalOf } from './out-of-history.js';
import { noteAnswer } from './call-context.js';
import { codeOfRefused, faultOfAnswer, type FaultCode } from './faults.js';
import type { VenueResponse } from './http/response-body.js';
import { coolDownOf, outcomeOf } from './http/transport.js';
import { isHollow, venueQuirks, type VenueQuirks } from '../venues/venue-quirks.js';

/**
 * A bare number of sixteen digits may be one that JSON.parse rounds; then CCXT's slow way decides. Numbers in quotes,
 * which most are, are passed over by their first character: looking for digits anywhere took longer than the parsing.
 */
const MAYBE_UNSAFE_INTEGER = /[:,[\s]-?\d{16}/;

/** Whatever else CCXT's `handleRestResponse` is called with: url, method, request headers and body. */
type Circumstances = readonly [url: string, ...rest: unknown[]];

interface Verdict {
  /** null: a good answer. */
  readonly code: FaultCode | null;
  readonly thrown?: unknown;
}

const isVenueResponse = (value: unknown): value is VenueResponse =>
  typeof value === 'object' && value !== null && 'json' in value && 'body' in value;

const throwIfRefused = (
  ccxt: CcxtExchange,
  response: VenueResponse,
  [url, method, ...request]: Circumstances,
): void => {
  const { status, statusText, body, json } = response;
  // Their usual spelling costs as much as the rest of the check; only refusals have a use for it.
  const headers = status < 300 ? response.headers : ccxt.getResponseHeaders(response);
  const handled = ccxt.handleErrors(status, statusText, url, method, headers, body, json, ...request);
  if (handled === undefined) ccxt.handleHttpStatusCode(status, statusText, url, method, body);
};

const judge = (
  { ccxt, quirks }: { readonly ccxt: CcxtExchange; readonly quirks: VenueQuirks },
  response: VenueResponse,
  circumstances: Circumstances,
): Verdict => {
  try {
    throwIfRefused(ccxt, response, circumstances);
  } catch (thrown) {
    return { code: codeOfRefused(thrown, response, quirks), thrown };
  }
  // CCXT takes any status that is not on its list for a success.
  if (response.status >= 300) return { code: codeOfRefused(undefined, response, quirks) };
  return { code: isHollow(quirks, response.json) ? 'upstream_bad_response' : null };
};

/** A refusal that says what would be taken instead carries that as its cause. */
const refusedPage = (code: FaultCode, { body }: VenueResponse, thrown: unknown): unknown => {
  const refusal = code === 'upstream_error' ? pageRefusalOf(body) : null;
  return refusal === null ? thrown : new PageRefusedError(refusal, thrown);
};

/** CCXT walks the whole answer for whole numbers that JSON.parse rounds; most answers have no long run of digits. */
const jsonFor = (ccxt: CcxtExchange, { body, json }: VenueResponse): unknown =>
  ccxt.quoteJsonNumbers && MAYBE_UNSAFE_INTEGER.test(body) ? ccxt.parseJson(body) : json;

/**
 * Replaces CCXT's `handleRestResponse`: each fault keeps the status and headers of its own answer (CCXT's
 * `last_response_headers` belong to whichever came last), the gate hears of every answer, and nothing is parsed twice.
 */
export const judgeAnswers = (
  ccxt: CcxtExchange,
  {
    exchange,
    gate,
    now,
    monotonic,
  }: {
    readonly exchange: ExchangeId;
    readonly gate: UpstreamGate;
    readonly now: () => Millis;
    readonly monotonic: () => Millis;
  },
): void => {
  const quirks = venueQuirks(exchange);
  ccxt.handleRestResponse = (response, ...circumstances) => {
    if (!isVenueResponse(response))
      throw new AppError('internal_error', 'An answer that is not of our transport.');
    const { code, thrown } = judge({ ccxt, quirks }, response, circumstances);
    gate.report(exchange, outcomeOf(response, code, now()));
    if (code === null) {
      const json = jsonFor(ccxt, response);
      noteAnswer(json);
      return Promise.resolve(json);
    }
    const coolDownMs = coolDownOf(gate, exchange, monotonic());
    throw faultOfAnswer(exchange, code, {
      response,
      coolDownMs,
      now: now(),
      cause: refusedPage(code, response, thrown),
    });
  };
};
