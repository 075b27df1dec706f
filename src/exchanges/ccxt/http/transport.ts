/**
 * How requests leave: CCXT's `fetchImplementation`. One request, answered whole or failed in time: the timeout covers
 * the body and ends the socket, the body is bounded and is JSON. Statuses that mean one thing at every venue become
 * AppErrors here; answers that a venue words in JSON go on to CCXT, which knows its codes.
 */
import { EventEmitter } from 'node:events';
import { type Dispatcher, request } from 'undici';
import { AppError } from '../../../errors.js';
import { diagnosisOfAnswer } from '../../../lib/diagnosis.js';
import type { ExchangeId, Millis } from '../../../schemas/common.js';
import { toldWait } from '../../rate-limit/told-wait.js';
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
import { type VenueResponse, parseBody, readText } from './response-body.js';

/** `Date` has whole seconds and is written before the answer travels: smaller differences mean nothing. */
export const TOLERATED_SKEW_MS: Millis = 2500;

/**
 * A venue's clock, as far as its answers' `Date` tells: whether a candle's period has ended is the venue's to say, and a
 * machine whose clock is minutes off would call open candles closed.
 */
export interface VenueClock {
  /** The venue's time. */
  now(): Millis;
  /** From the venue's time to ours. */
  toLocal(at: Millis): Millis;
  /** An answer's headers, names in lower case, and our time when they arrived. */
  observe(headers: Readonly<Record<string, string>>, receivedAt: Millis): void;
}

/**
 * Between two answers it runs on by the clock of durations: a wall clock that is set in between does not close the open
 * candle, after which its updates would be dropped. Before the first answer it is the wall clock.
 */
export const createVenueClock = (now: () => Millis, monotonic: () => Millis): VenueClock => {
  /** The venue's time less the clock of durations. */
  let ahead: Millis | null = null;
  // Whole milliseconds: it stamps what is stored and sent.
  const venueNow = (): Millis => (ahead === null ? now() : Math.floor(monotonic() + ahead));
  return {
    now: venueNow,
    toLocal: (at) => at - (venueNow() - now()),
    observe: (headers, receivedAt) => {
      // An answer out of a cache between us carries the time when it was written, and in `Age` how long ago that was.
      const age = Number(headers['age'] ?? 0);
      const said = Date.parse(headers['date'] ?? '') + age * 1000;
      if (Number.isNaN(said)) return;
      const difference = said + 500 - receivedAt;
      const skew = Math.abs(difference) > TOLERATED_SKEW_MS ? difference : 0;
      ahead = now() + skew - monotonic();
    },
  };
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
class Ending extends EventEmitter {
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
  readonly signal: Ending;
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
    const ending = new Ending();
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
      gate.report(exchange, { status: null, headers: {}, bodyThrottled: false, toldWaitMs: null });
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
  if (!bodyThrottled) return { status, headers, bodyThrottled, toldWaitMs: null };
  return {
    status,
    headers,
    bodyThrottled,
    toldWaitMs: toldWait(response, now),
    reason: diagnosisOfAnswer(response),
  };
};

/** How long the gate keeps a venue's requests back, where it does; `now` by the gate's clock. */
export const coolDownOf = (gate: UpstreamGate, exchange: ExchangeId, now: Millis): Millis | undefined => {
  const { coolDownUntil } = gate.state(exchange);
  return coolDownUntil === null ? undefined : Math.max(0, coolDownUntil - now);
};
