/**
 * The seam between a venue's gate and the servers that share its budget. The gate decides who is next on this server;
 * whether that request may leave now is asked here, since only the shared count knows what the others have sent.
 * Everything is told relative to now, in milliseconds: the servers' clocks need not agree.
 */
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Pace } from './pace.js';

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

/** A venue's refusal, or what its own counter says, as other servers are told of it. */
export interface SharedRestraint {
  /** Left of the cool-down; 0: there is none. */
  readonly coolDownMs: Millis;
  readonly status: number | null;
  readonly reason: string | null;
  readonly strikes: number;
  /** Left of the waits for the venue's next window; 0 or less: none. */
  readonly brakeMs: { readonly callers: Millis; readonly polls: Millis };
}

export interface SharedAnswer {
  readonly granted: boolean;
  /** Not granted: worth asking again after so long; 0: when what is known of the window says so. */
  readonly retryInMs: Millis;
  readonly use: SharedUse;
  /** Where the venue cools down or brakes and this server may not know. */
  readonly restraint: SharedRestraint | null;
}

/** A request as the shared count sees it; limits are this server's own. */
interface SharedClaim {
  readonly exchange: ExchangeId;
  readonly poll: boolean;
  /** What polls together may use; null: it is bounded by the whole budget alone. */
  readonly pollLimit: number | null;
}

/** One venue's part of the gate, for what other servers tell. */
export interface SharedListener {
  /** Another server's request has left. */
  departed(request: { readonly poll: boolean; readonly reserve: boolean }): void;
  restrained(restraint: SharedRestraint): void;
  /** From now on this server keeps to its part of the budget, or (`servers` 1) to the shared count. */
  changed(): void;
  /** What this server knows, to begin a shared count that has been lost. */
  known(): Pick<SharedUse, 'used' | 'reserveUsed'> & { readonly restraint: SharedRestraint };
}

export interface SharedBudget {
  /** So much later than it was counted may a request leave, on this server or another. */
  readonly lateMs: Millis;
  listen(exchange: ExchangeId, listener: SharedListener): void;
  /** false: the shared count cannot be asked; this server keeps to its part. */
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
  /** A request left without having been asked for. */
  departed(exchange: ExchangeId, request: { readonly poll: boolean; readonly reserve: boolean }): void;
  report(exchange: ExchangeId, restraint: SharedRestraint): void;
}
