/**
 * What a call carries through CCXT to the transport, where CCXT has no parameter for it: how urgent it is, until when,
 * whether it was given up, and CCXT's own weight of each of its requests.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Millis } from '../../schemas/common.js';
import type { Priority } from '../exchange-client.js';
import type { Pace } from '../rate-limit/shared-budget.js';
import type { Booking } from '../rate-limit/upstream-gate.js';

export interface UpstreamCall {
  readonly kind: 'data' | 'markets';
  readonly priority: Priority;
  /** Who asks: those who wait for a venue take turns by client. */
  readonly client?: string | undefined;
  /** Its requests leave by then, or the gate refuses them. */
  readonly deadline: Millis;
  /** Its requests are answered by then; default: the deadline. */
  readonly answeredBy?: Millis | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Slots that are kept for its requests. */
  readonly booking?: Booking | undefined;
  /** The venue's latest good answer to this call, as JSON: CCXT's result no longer tells an empty one from another shape. */
  readonly answered?: { json: unknown } | undefined;
}

/** Requests that CCXT makes on its own (the token of a feed, say) have a pace and no call. */
interface Context {
  readonly call?: UpstreamCall | undefined;
  readonly pace?: Pace | undefined;
}

const storage = new AsyncLocalStorage<Context>();

/** Runs `work` so that every request it makes, now or later, belongs to `call`. */
export const withUpstreamCall = <T>(call: UpstreamCall, work: () => Promise<T>): Promise<T> =>
  storage.run({ call }, work);

/** Runs `work` so that the request it makes has this pace, in whatever call it is. */
export const withPace = <T>(pace: Pace, work: () => Promise<T>): Promise<T> =>
  storage.run({ call: storage.getStore()?.call, pace }, work);

/** The call that the current request belongs to; undefined for requests that CCXT makes on its own. */
export const currentUpstreamCall = (): UpstreamCall | undefined => storage.getStore()?.call;

/** The pace of the current request; undefined where CCXT has told no weight for it. */
export const currentPace = (): Pace | undefined => storage.getStore()?.pace;

/** Keeps a good answer for the caller of the current call, who finds it in `answered`. */
export const noteAnswer = (json: unknown): void => {
  const answered = storage.getStore()?.call?.answered;
  if (answered !== undefined) answered.json = json;
};
