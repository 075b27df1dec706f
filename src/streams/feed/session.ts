import type { Millis } from '../../schemas/common.js';
import type { WatchHandle } from '../../exchanges/exchange-client.js';
import type { SharedSocket } from './silence-checks.js';

/** One opening of the WebSocket feed. */
export interface Session {
  handle: WatchHandle | null;
  /** Since when it is known to be alive, by the clock of durations; null before. */
  spokeAt: Millis | null;
  /** It has brought something itself. */
  spoke: boolean;
  /** Polling saw something that this session should have brought. */
  missed: boolean;
  /** It should have spoken by now, unless nothing happens at all. */
  overdue: boolean;
  /** The connection that it was subscribed on; null before. */
  socket: SharedSocket | null;
  socketName: string | null;
  over: boolean;
}

export const newSession = (): Session => ({
  handle: null,
  spokeAt: null,
  spoke: false,
  missed: false,
  overdue: false,
  socket: null,
  socketName: null,
  over: false,
});

export const endSession = (session: Session): void => {
  session.over = true;
  session.handle?.close();
};
