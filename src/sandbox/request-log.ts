// A ring of the latest venue requests, so that tests can tell what really left a client.
import { type Millis } from './intervals.js';
import { type VenueId } from './listings.js';
import { type RequestKind } from './venues/venue.js';

const MAX_LOGGED_REQUESTS = 10_000;

export interface LoggedRequest {
  readonly time: Millis;
  readonly venue: VenueId;
  readonly kind: RequestKind | 'websocket';
  readonly method: string;
  /** Without the host segment. */
  readonly path: string;
  readonly query: string;
  /** 0 where the connection ended or hung without an answer. */
  readonly status: number;
  /** Type of the fault applied, or null. */
  readonly fault: string | null;
  readonly userAgent: string;
}

export interface RequestLog {
  readonly add: (request: LoggedRequest) => void;
  /** Oldest first. */
  readonly list: () => readonly LoggedRequest[];
  /** Requests since the start or the last reset, also those that the ring has forgotten. */
  readonly total: () => number;
  readonly reset: () => void;
}

export function createRequestLog(max = MAX_LOGGED_REQUESTS): RequestLog {
  let ring: LoggedRequest[] = [];
  let next = 0;
  let total = 0;
  return {
    add: (request) => {
      ring[next] = request;
      next = (next + 1) % max;
      total += 1;
    },
    list: () => (ring.length < max ? [...ring] : [...ring.slice(next), ...ring.slice(0, next)]),
    total: () => total,
    reset: () => {
      ring = [];
      next = 0;
      total = 0;
    },
  };
}
