/** One CCXT exchange, made safe for a server that runs for months. docs/ccxt.md says what each guard is for. */
import type { ExchangeOptions } from '../../config/config.js';
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { VenueRate } from '../rate-limit/shared-budget.js';
import type { UpstreamGate } from '../rate-limit/upstream-gate.js';
import { correctedMarkets } from '../venues/corrections.js';
import { isEmptyAnswer, venueQuirks, type VenueQuirks } from '../venues/venue-quirks.js';
import { noteAnswer, withPace } from './call-context.js';
import { type CcxtClass, type CcxtExchange, isMethod } from './ccxt-exchange.js';
import { PageRefusedError, pageRefusalOf } from './candle-pages.js';
import { codeOfRefused, faultOfAnswer, type FaultCode } from './faults.js';
import { hardenSockets, type SocketAgents } from './feeds/connections.js';
import type { VenueResponse } from './http/response-body.js';
import { coolDownOf, outcomeOf, type Transport } from './http/transport.js';
import { substituteFor, tolerateEmptyLists } from './market-lists.js';

/** A URL table of CCXT's may be this deep; they are two or three deep. */
const MAX_DEPTH = 6;

const rewriteUrl = (url: string, sandbox: URL): string => {
  // Hosts may hold CCXT's placeholders (`https://api.{hostname}`), which are no valid URLs: text is cut, not parsed.
  const match = /^(https?|wss?):\/\/([^/]+)(\/.*)?$/.exec(url);
  if (match === null) return url;
  const [, scheme = '', host = '', path = ''] = match;
  const secure = sandbox.protocol === 'https:';
  const protocol = scheme.startsWith('ws') ? (secure ? 'wss:' : 'ws:') : sandbox.protocol;
  return `${protocol}//${sandbox.host}/${host}${path}`;
};

const rewrite = (value: unknown, sandbox: URL, depth = 0): unknown => {
  if (typeof value === 'string') return rewriteUrl(value, sandbox);
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((item) => rewrite(item, sandbox, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, rewrite(item, sandbox, depth + 1)]),
  );
};

/** A copy of CCXT's `urls` whose every URL leads to the sandbox; nothing of it reaches a real venue. */
export const toSandboxUrls = (
  urls: Readonly<Record<string, unknown>>,
  sandboxUrl: string,
): Record<string, unknown> => {
  const sandbox = new URL(sandboxUrl);
  return Object.fromEntries(Object.entries(urls).map(([key, value]) => [key, rewrite(value, sandbox)]));
};

export interface InstanceDeps {
  readonly exchange: ExchangeId;
  readonly transport: Transport;
  readonly gate: UpstreamGate;
  readonly socketAgents: SocketAgents;
  readonly options: ExchangeOptions | undefined;
  readonly sandboxUrl: string | null;
  readonly userAgent: string;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface Instance {
  readonly ccxt: CcxtExchange;
  /** Ends its sockets. Never rejects. */
  close(): Promise<void>;
}

/** CCXT's own timer would count the wait at the gate; the transport keeps the time, this is a stop behind it. */
const CCXT_TIMEOUT_MS: Millis = 600_000;
/** Dead sockets are noticed after three to four of these; Binance's default takes twelve minutes. */
const WS_KEEP_ALIVE_MS: Millis = 10_000;

const merged = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>) => {
  const result: Record<string, unknown> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const before = result[key];
    result[key] = isTable(before) && isTable(value) ? merged(before, value) : value;
  }
  return result;
};
const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The constructor's settings: only keys that are named here ever reach it, since any key overwrites a method. */
const constructorConfig = ({ exchange, options, transport, userAgent }: InstanceDeps) => {
  const allowed: Record<string, unknown> = {};
  if (options?.rateLimit !== undefined) allowed['rateLimit'] = options.rateLimit;
  if (options?.hostname !== undefined) allowed['hostname'] = options.hostname;
  if (options?.options !== undefined) allowed['options'] = options.options;
  return {
    ...merged(venueQuirks(exchange).construct, allowed),
    enableRateLimit: true,
    timeout: CCXT_TIMEOUT_MS,
    userAgent,
    fetchImplementation: transport,
    enableLastHttpResponse: false,
    enableLastResponseHeaders: false,
    streaming: { keepAlive: WS_KEEP_ALIVE_MS },
  };
};

/** One part in so many of what a venue takes within its window may be saved up, and then leave at once. */
const SAVED_UP = 20;

/**
 * CCXT's leaky bucket, which saves up nothing; but where CCXT knows the rolling window in which the venue counts (it would
 * send all of it at once, `rateLimiterAlgorithm: 'rollingWindow'`), a part of it may be saved up: thousands of feeds that are
 * opened anew do not wait for each other. One weight then takes longer to flow back by that part, so that no window ever
 * holds more than CCXT's even pace would send in it.
 */
export const rateOf = (
  { rateLimit, rollingWindowSize }: CcxtExchange,
  { countsInWindow }: VenueQuirks,
): VenueRate => {
  const capacity = Math.floor(rollingWindowSize / rateLimit / SAVED_UP);
  // A rate limit of 0 is none.
  return countsInWindow && capacity > 1 && rateLimit > 0
    ? { capacity, unitMs: (rateLimit * SAVED_UP) / (SAVED_UP - 1) }
    : { capacity: 1, unitMs: rateLimit };
};

/**
 * Requests wait at the gate alone, right before the socket; CCXT's throttle, which knows no deadline, only tells it the
 * weight. CCXT asks for the cost in `fetch2` and keeps it to itself, so it is asked for here.
 */
const tellPace = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  const quirks = venueQuirks(exchange);
  ccxt.throttle = () => Promise.resolve();
  const fetch = ccxt.fetch2.bind(ccxt);
  ccxt.fetch2 = (...request) => {
    const [path, api, method, params = {}, , , config = {}] = request;
    const cost = ccxt.calculateRateLimiterCost(api, method, path, params, config);
    const weight = Number.isFinite(cost) ? Math.max(0, cost) : 1;
    return withPace({ weight, ...rateOf(ccxt, quirks) }, () => fetch(...request));
  };
};

// Answers: what CCXT does with one, redone on one that the transport has already read and parsed.

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
  return { code: isEmptyAnswer(quirks, response.json) ? 'upstream_bad_response' : null };
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
const checkAnswers = (ccxt: CcxtExchange, { exchange, gate, now, monotonic }: InstanceDeps): void => {
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

/** While the markets are loaded, a list that fails is taken for an empty one. */
const tolerateFailedLists = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  const { neededLists, emptyListThrows } = venueQuirks(exchange);
  const fetch = ccxt.fetch.bind(ccxt);
  ccxt.fetch = async (...args) => {
    try {
      return await fetch(...args);
    } catch (thrown) {
      const empty = substituteFor(thrown, neededLists?.test(String(args[0])) === true);
      if (empty === undefined) throw thrown;
      return empty;
    }
  };
  if (emptyListThrows !== null) tolerateEmptyLists(ccxt, emptyListThrows);
};

const swapMethods = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  for (const [name, other] of venueQuirks(exchange).methods) {
    const method: unknown = Reflect.get(ccxt, other);
    if (isMethod(method)) Reflect.set(ccxt, name, method);
  }
};

const correctMarkets = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  const fetchMarkets = ccxt.fetchMarkets.bind(ccxt);
  ccxt.fetchMarkets = async (...args) => correctedMarkets(exchange, await fetchMarkets(...args));
};

/** A new instance, which has made no request yet. */
export const createInstance = (Exchange: CcxtClass, deps: InstanceDeps): Instance => {
  const ccxt = new Exchange(constructorConfig(deps));
  tellPace(ccxt, deps.exchange);
  if (deps.sandboxUrl !== null) ccxt.urls = toSandboxUrls(ccxt.urls, deps.sandboxUrl);
  let closed = false;
  hardenSockets(ccxt, deps, () => closed);
  checkAnswers(ccxt, deps);
  tolerateFailedLists(ccxt, deps.exchange);
  swapMethods(ccxt, deps.exchange);
  correctMarkets(ccxt, deps.exchange);
  return {
    ccxt,
    close: async () => {
      closed = true;
      await ccxt.close().catch(() => undefined);
    },
  };
};
