/**
 * The seam between a venue's gate and the servers that share its budget. The gate decides who is next on this server;
 * whether that request may leave now is asked here, since only the shared count includes what the others have sent.
 * All times are relative to now, in milliseconds: the servers' clocks need not agree.
 */
import type { ExchangeId, Millis } from '../../schemas/common.js';

/** A venue's pace: the time in which one of CCXT's weights flows back, and how many a pause saves up at most; ≥ 1. */
export interface VenueRate {
  readonly unitMs: Millis;
  readonly capacity: number;
}

/** CCXT's weight of a request to a venue of such a rate. */
export interface Pace extends VenueRate {
  readonly weight: number;
}

/** Requests that left together so long ago. */
export interface SharedEntry {
  readonly ageMs: Millis;
  readonly requests: number;
  readonly polls: number;
}

/** What all servers together have used of one venue. */
interface SharedUse {
  readonly used: readonly SharedEntry[];
  readonly reserveUsed: readonly SharedEntry[];
  /** Until the venue's pace lets the next request go; 0 or less: it does. */
  readonly paceFreeInMs: Millis;
  /** The lowest limit of all servers. */
  readonly limit: number;
  /** Servers that are alive, this one included; ≥ 1. */
  readonly servers: number;
}

/** A venue's refusal, or its counter near the limit, as servers pass it on to each other. */
export interface SharedRestraint {
  /** Left of the cool-down; 0: there is none. */
  readonly coolDownMs: Millis;
  readonly status: number | null;
  readonly reason: string | null;
  /** In a row. */
  readonly refusals: number;
  /** Left of the waits for the venue's next window because its counter is nearly full; 0 or less: none. */
  readonly nearLimitMs: { readonly callers: Millis; readonly polls: Millis };
}

export interface SharedAnswer {
  readonly granted: boolean;
  /** Not granted: ask again after so long; 0: when the entries of the window allow it. */
  readonly retryInMs: Millis;
  readonly use: SharedUse;
  /** The venue's cool-down or near-limit wait, which this server may not have seen; null: there is none. */
  readonly restraint: SharedRestraint | null;
}

/** A request as the shared count sees it; limits are this server's own. */
interface SharedClaim {
  readonly exchange: ExchangeId;
  readonly poll: boolean;
  /** What polls together may use; null: it is bounded by the whole budget alone. */
  readonly pollLimit: number | null;
}

/** One venue's gate, for what other servers report. */
export interface SharedListener {
  /** Another server's request has left. */
  departed(request: { readonly poll: boolean; readonly reserve: boolean }): void;
  restrained(restraint: SharedRestraint): void;
  /** `isShared` or `servers` has changed. */
  changed(): void;
  /** This server's own state, from which a lost shared count is rebuilt. */
  snapshot(): Pick<SharedUse, 'used' | 'reserveUsed'> & { readonly restraint: SharedRestraint };
}

export interface SharedBudget {
  /** At most so long after it was counted does a request leave, on this server or another. */
  readonly lateMs: Millis;
  listen(exchange: ExchangeId, listener: SharedListener): void;
  /** false: the shared count does not answer; this server keeps to its share. */
  readonly isShared: boolean;
  /** While it is not shared: each request counts as so many, one for each server that was last seen alive. */
  readonly servers: number;
  /** Asks for one request to leave now, which then counts. null: there was no answer. Never rejects. */
  take(
    claim: SharedClaim & {
      readonly reserve: boolean;
      readonly pace: Pace | undefined;
      readonly booking: string | undefined;
    },
  ): Promise<SharedAnswer | null>;
  /** Keeps slots for `requests`; granted only if all of them can leave within `withinMs`. */
  book(
    claim: SharedClaim & { readonly id: string; readonly requests: number; readonly withinMs: Millis },
  ): Promise<SharedAnswer | null>;
  unbook(exchange: ExchangeId, id: string): void;
  /** A request left without the shared count having been asked. */
  departed(exchange: ExchangeId, request: { readonly poll: boolean; readonly reserve: boolean }): void;
  report(exchange: ExchangeId, restraint: SharedRestraint): void;
}
