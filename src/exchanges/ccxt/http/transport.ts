/**
 * How requests leave: the pool of connections, and CCXT's `fetchImplementation`. One request, answered whole or failed in time: the timeout covers
 * the body and ends the socket, the body is bounded and is JSON. Statuses that mean one thing at every venue become
 * AppErrors here; answers that a venue words in JSON go on to CCXT, which knows its codes.
 */
import { EventEmitter } from 'node:events';
import { Agent, EnvHttpProxyAgent, type Dispatcher, request } from 'undici';
import { AppError } from '../../../errors.js';
import { diagnosisOfAnswer } from '../../../lib/diagnosis.js';
import type { VenueClock } from '../../../lib/venue-clock.js';
import type { ExchangeId, Millis } from '../../../schemas/common.js';
import { requestedWait } from '../../rate-limit/retry-after.js';
import type { UpstreamGate, UpstreamOutcome } from '../../rate-limit/upstream-gate.js';
import { type UpstreamCall, currentPace, currentUpstreamCall } from '../call-context.js';
import {
  type FaultCode,
  type RefusalWords,
  codeOfAnswer,
  faultOfAnswer,
  faultOfConnection,
  timedOut,
} from '../faults.js';
import { MAX_BODY_BYTES, type VenueResponse, parseBody, readText } from './response-body.js';

/** As in Config: URLs, empty where there is none; `no` is NO_PROXY's list. */
export interface ProxySettings {
  readonly https: string;
  readonly http: string;
  readonly no: string;
}

export const NO_PROXIES: ProxySettings = { https: '', http: '', no: '' };

/** Sockets per venue host; CCXT's own bound of 256 opened 254 for 300 calls. */
const MAX_CONNECTIONS = 16;
const KEEP_ALIVE_MS: Millis = 30_000;
const MAX_KEEP_ALIVE_MS: Millis = 300_000;

/** `connectTimeoutMs` bounds TCP and TLS; the rest of a request's time is the transport's to watch. */
export const createDispatcher = (proxy: ProxySettings, connectTimeoutMs: Millis): Dispatcher => {
  const options: Agent.Options = {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: MAX_KEEP_ALIVE_MS,
    maxResponseSize: MAX_BODY_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectTimeoutMs },
  };
  if (proxy.https === '' && proxy.http === '') return new Agent(options);
  // Empty strings keep it from reading the environment behind the settings' back.
  return new EnvHttpProxyAgent({
    ...options,
    httpProxy: proxy.http,
    httpsProxy: proxy.https,
    noProxy: proxy.no,
  });
};

export interface TransportDeps {
  readonly exchange: ExchangeId;
  readonly dispatcher: Dispatcher;
  readonly gate: UpstreamGate;
  readonly clock: VenueClock;
  /** One request with its body. */
  readonly timeoutMs: Millis;
  readonly userAgent: string;
  /** How the venue words its refusals. */
  readonly words: RefusalWords;
  readonly now: () => Millis;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
}

interface RequestInit {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
}

export type Transport = (url: string, init: RequestInit) => Promise<VenueResponse>;

const METHODS = new Set(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH']);
const isMethod = (method: string): method is Dispatcher.HttpMethod => METHODS.has(method);

const plainHeaders = (headers: Readonly<Record<string, string | string[] | undefined>>) => {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) plain[name] = Array.isArray(value) ? value.join(', ') : value;
  return plain;
};

/** What undici needs of an AbortSignal, at a tenth of its price. */
class LightAbort extends EventEmitter {
  aborted = false;
  reason: unknown;

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.emit('abort');
  }
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : '');

interface Attempt {
  readonly url: string;
  readonly init: RequestInit;
  readonly signal: LightAbort;
}

export const createTransport = (deps: TransportDeps): Transport => {
  const { exchange, dispatcher, gate, clock, timeoutMs, userAgent, words, now, monotonic } = deps;

  /** Requests that CCXT makes on its own (the token of a feed, say) have no call behind them. */
  const callOrDefault = (): UpstreamCall => {
    const deadline = monotonic() + timeoutMs;
    return (
      currentUpstreamCall() ?? {
        kind: 'data',
        priority: 'poll',
        deadline,
        answeredBy: deadline + timeoutMs,
      }
    );
  };

  const send = async ({ url, init, signal }: Attempt): Promise<VenueResponse> => {
    const method = init.method ?? 'GET';
    if (!isMethod(method)) throw new AppError('internal_error', 'A request with an unknown method.');
    const headers = { ...init.headers, 'user-agent': userAgent, 'accept-encoding': 'gzip, deflate' };
    // CCXT's own spelling would be a second header of that name.
    delete (headers as Record<string, string>)['User-Agent'];
    const answer = await request(url, { method, headers, body: init.body ?? null, signal, dispatcher });
    const plain = plainHeaders(answer.headers);
    // Before the body, which may take its time: that is no difference between the clocks.
    clock.observe(plain, now());
    const bytes = await answer.body.bytes();
    const body = await readText(bytes, plain['content-encoding']);
    return { status: answer.statusCode, statusText: '', headers: plain, body, json: parseBody(body) };
  };

  return async (url, init) => {
    const call = callOrDefault();
    const { deadline, answeredBy = deadline, signal } = call;
    await gate.admit({ exchange, ...call, pace: currentPace() });
    const allowed = Math.min(timeoutMs, answeredBy - monotonic());
    const host = hostOf(url);
    if (allowed <= 0) throw timedOut(exchange, `no time was left to ask ${host}`);
    const ending = new LightAbort();
    const abandon = (): void => ending.abort(signal?.reason);
    signal?.addEventListener('abort', abandon, { once: true });
    const timer = setTimeout(() => {
      ending.abort(timedOut(exchange, `${host} did not answer within ${Math.round(allowed)} ms`));
    }, allowed);
    timer.unref();
    let response: VenueResponse;
    try {
      response = await send({ url, init, signal: ending });
    } catch (error) {
      gate.report(exchange, { status: null, headers: {}, bodyThrottled: false, retryAfterMs: null });
      throw faultOfConnection(exchange, ending.aborted ? ending.reason : error, host);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abandon);
    }
    const code = codeOfAnswer(response, words);
    // Answers that CCXT is to judge are reported when it has: only then is it known whether they say "too many".
    if (code === null) return response;
    gate.report(exchange, outcomeOf(response, code, now()));
    const coolDownMs = coolDownOf(gate, exchange, monotonic());
    throw faultOfAnswer(exchange, code, { response, coolDownMs, now: now() });
  };
};

/** An answer as the gate is told of it; its words are searched for a wait only where it is a refusal for too many. */
export const outcomeOf = (response: VenueResponse, code: FaultCode | null, now: Millis): UpstreamOutcome => {
  const { status, headers } = response;
  const bodyThrottled = code === 'upstream_rate_limited';
  if (!bodyThrottled) return { status, headers, bodyThrottled, retryAfterMs: null };
  return {
    status,
    headers,
    bodyThrottled,
    retryAfterMs: requestedWait(response, now),
    reason: diagnosisOfAnswer(response),
  };
};

/** How long the gate keeps a venue's requests back, where it does; `now` by the gate's clock. */
export const coolDownOf = (gate: UpstreamGate, exchange: ExchangeId, now: Millis): Millis | undefined => {
  const { coolDownUntil } = gate.state(exchange);
  return coolDownUntil === null ? undefined : Math.max(0, coolDownUntil - now);
};
