// Faults that the sandbox can be told to commit, and the list of rules that says when.
import { type CandleFault } from './candle-faults.js';
import { mix, unit } from './hash.js';
import { type Millis } from './intervals.js';
import { type VenueId } from './listings.js';
import { type RequestKind, type VenueErrorName } from './venues/venue.js';

/** Rules beyond this number are refused. */
const MAX_FAULT_RULES = 100;

/** Faults of an HTTP answer; also of a WebSocket upgrade where an answer or none is all there is. */
export type RestFault =
  /** Another status; `retryAfter` in seconds, or `http-date:<seconds>` for the date form of the header. */
  | {
      readonly type: 'status';
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly retryAfter?: number | `http-date:${number}`;
    }
  /** The venue's own words for a fault. */
  | { readonly type: 'venue_error'; readonly name: VenueErrorName }
  /** The right answer, `ms` late. */
  | { readonly type: 'delay'; readonly ms: Millis }
  /** No headers, ever. */
  | { readonly type: 'hang' }
  /** Headers and half of the body, then silence. */
  | { readonly type: 'stall' }
  /** A TCP reset before the headers, or within the body. */
  | { readonly type: 'reset'; readonly at?: 'headers' | 'body' }
  /** Half of the JSON, with a content-length that fits it. */
  | { readonly type: 'truncate' }
  /** A gzip stream cut short (whatever the client accepts). */
  | { readonly type: 'gzip_cut' }
  /** Status 200 with an HTML page. */
  | { readonly type: 'html' }
  /** Status 200 with no body. */
  | { readonly type: 'empty' }
  /** A content-length greater than the body, and the end of the connection. */
  | { readonly type: 'wrong_length' }
  /** Valid JSON of an unexpected shape, with status 200. */
  | { readonly type: 'odd_json'; readonly body?: unknown }
  | CandleFault;

/** Faults of a WebSocket. */
export type SocketFault =
  /** Closed by the server after `ms`. */
  | { readonly type: 'ws_close'; readonly ms: Millis; readonly code?: number }
  /** Cut without a close frame after `ms`. */
  | { readonly type: 'ws_terminate'; readonly ms: Millis }
  /** Open and acknowledging, but without data. */
  | { readonly type: 'ws_silent' }
  /** From `ms` on, not even acknowledgements, heartbeats or pongs. */
  | { readonly type: 'ws_mute'; readonly ms: Millis }
  /** A frame that is no message of the venue, before anything else. */
  | { readonly type: 'ws_garbage'; readonly frame?: string }
  /** The second update of each order book is left out. */
  | { readonly type: 'ws_gap' };

export type Fault = RestFault | SocketFault;

export interface FaultRule {
  /** All venues if absent. */
  readonly venue?: VenueId;
  /**
   * A kind of request (`ticker`, `ohlcv`, ...), `websocket`, or a part of path and query. All REST requests if absent.
   * Socket faults meet WebSocket upgrades only.
   */
  readonly match?: string;
  readonly fault: Fault;
  /** The rule goes after this many uses; never if absent. */
  readonly times?: number;
  /** Share of matching requests that it meets, 0..1; 1 if absent. Seeded, so the sequence repeats. */
  readonly probability?: number;
}

interface FaultTarget {
  readonly venue: VenueId;
  readonly kind: RequestKind | 'websocket';
  /** Path and query without the host segment. */
  readonly target: string;
}

export interface FaultBook {
  /** Adds a rule; the id names it in the list. @throws RangeError if there are too many. */
  readonly set: (rule: FaultRule) => number;
  readonly clear: () => void;
  readonly list: () => readonly (FaultRule & { readonly id: number; readonly used: number })[];
  /** The fault of the first rule that applies; counts a use. */
  readonly take: (target: FaultTarget) => Fault | undefined;
}

export const isSocketFault = (fault: Fault): fault is SocketFault => fault.type.startsWith('ws_');

/** Met by requests for candles only. */
export const isCandleFault = (fault: Fault): fault is CandleFault => fault.type.startsWith('candles_');

function matches(rule: FaultRule, target: FaultTarget): boolean {
  if (rule.venue !== undefined && rule.venue !== target.venue) return false;
  if (isCandleFault(rule.fault) && target.kind !== 'ohlcv') return false;
  const upgrade = target.kind === 'websocket';
  if (isSocketFault(rule.fault) && !upgrade) return false;
  if (rule.match === undefined) return isSocketFault(rule.fault) === upgrade;
  return rule.match === target.kind || target.target.includes(rule.match);
}

interface ActiveRule {
  readonly id: number;
  readonly rule: FaultRule;
  used: number;
}

export function createFaultBook(seed: number): FaultBook {
  let rules: ActiveRule[] = [];
  let nextId = 1;
  let draws = 0;
  return {
    set: (rule) => {
      if (rules.length >= MAX_FAULT_RULES) throw new RangeError(`more than ${MAX_FAULT_RULES} fault rules`);
      const id = nextId;
      nextId += 1;
      rules.push({ id, rule, used: 0 });
      return id;
    },
    clear: () => {
      rules = [];
    },
    list: () => rules.map(({ id, rule, used }) => ({ ...rule, id, used })),
    take: (target) => {
      for (const active of rules) {
        if (!matches(active.rule, target)) continue;
        draws += 1;
        if (unit(mix(seed, draws)) >= (active.rule.probability ?? 1)) continue;
        active.used += 1;
        if (active.used >= (active.rule.times ?? Infinity)) rules = rules.filter((other) => other !== active);
        return active.rule.fault;
      }
      return undefined;
    },
  };
}
