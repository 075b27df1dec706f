// What can be done to a running sandbox, in this process. control-routes.ts offers the same over HTTP.
import { type FaultBook, type FaultRule } from './faults.js';
import { type ExchangeId, type VenueId } from './listings.js';
import { type MarketTruth } from './market.js';
import { type LoggedRequest, type RequestLog } from './request-log.js';
import { type TickClock } from './tick-clock.js';
import { type SocketAction } from './ws-peer.js';
import { type SocketInfo, type WsSide } from './ws-server.js';

interface Counters {
  /** Venue requests and upgrades since the start or the last reset of the log. */
  readonly requests: number;
  readonly sockets: number;
  readonly channels: number;
  readonly framesSent: number;
  /** What clients of feeds sent, but for pings. */
  readonly framesReceived: number;
}

export interface SandboxControl {
  /** Sandboxes with the same seed simulate the same prices. */
  readonly seed: number;
  /** Adds a fault rule; its id. @throws RangeError if there are too many. */
  readonly setFault: (rule: FaultRule) => number;
  readonly clearFaults: () => void;
  readonly faults: FaultBook['list'];
  /** The latest venue requests, oldest first; WebSocket upgrades have the kind `websocket`. */
  readonly requestLog: () => readonly LoggedRequest[];
  readonly resetLog: () => void;
  /** Acts on the open sockets of a venue, or of all venues if undefined; the number of sockets it met. */
  readonly sockets: (venue: VenueId | undefined, action: SocketAction) => number;
  readonly listSockets: () => readonly SocketInfo[];
  readonly counters: () => Counters;
  /** Ticks a second: of one market, of all of a venue's, or of all; 0 stands still. @throws RangeError for an unknown symbol */
  readonly setTickRate: (perSecond: number, of?: { venue: ExchangeId; symbol?: string }) => void;
}

export interface ControlParts {
  readonly seed: number;
  readonly faults: FaultBook;
  readonly log: RequestLog;
  readonly clock: TickClock;
  readonly truth: MarketTruth;
  readonly ws: WsSide;
  readonly channels: () => number;
}

export function createControl(parts: ControlParts): SandboxControl {
  return {
    seed: parts.seed,
    setFault: parts.faults.set,
    clearFaults: parts.faults.clear,
    faults: parts.faults.list,
    requestLog: parts.log.list,
    resetLog: parts.log.reset,
    sockets: parts.ws.act,
    listSockets: parts.ws.sockets,
    counters: () => ({
      requests: parts.log.total(),
      sockets: parts.ws.sockets().length,
      channels: parts.channels(),
      framesSent: parts.ws.framesSent(),
      framesReceived: parts.ws.framesReceived(),
    }),
    setTickRate: (perSecond, of) => {
      if (!of) {
        parts.clock.setRate(undefined, perSecond);
        return;
      }
      const { venue, symbol } = of;
      const markets = symbol === undefined ? parts.truth.markets(venue) : [parts.truth.find(venue, symbol)];
      for (const market of markets) {
        if (!market) throw new RangeError(`${venue} does not list ${String(symbol)}`);
        parts.clock.setRate(market, perSecond);
      }
    },
  };
}
