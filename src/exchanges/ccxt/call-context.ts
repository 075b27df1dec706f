/**
 * What a call carries through CCXT to the pacer and the transport, where CCXT has no parameter for it: how urgent it is,
 * until when, and whether it was given up.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Millis } from '../../schemas/common.js';
import type { Booking } from '../rate-limit/upstream-gate.js';

export interface UpstreamCall {
  readonly kind: 'data' | 'markets';
  readonly priority: 'caller' | 'poll' | 'backfill';
  /** Who asks: those who wait for a venue take turns by client. */
  readonly client?: string | undefined;
  /** Its requests leave by then, or are refused by whoever made them wait. */
  readonly deadline: Millis;
  /** Its requests are answered by then; default: the deadline. */
  readonly answeredBy?: Millis | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Slots that are kept for its requests. */
  readonly booking?: Booking | undefined;
  /** The venue's latest good answer to this call, as JSON: CCXT's result no longer tells an empty one from another shape. */
  readonly answered?: { json: unknown } | undefined;
}

const storage = new AsyncLocalStorage<UpstreamCall>();

/** Runs `work` so that every request it makes, now or later, belongs to `call`. */
export const withUpstreamCall = <T>(call: UpstreamCall, work: () => Promise<T>): Promise<T> =>
  storage.run(call, work);

/** The call that the current request belongs to; undefined for requests that CCXT makes on its own (WebSocket feeds). */
export const currentUpstreamCall = (): UpstreamCall | undefined => storage.getStore();

/** Keeps a good answer for whoever made the current call. */
export const noteAnswer = (json: unknown): void => {
  const answered = storage.getStore()?.answered;
  if (answered !== undefined) answered.json = json;
};
