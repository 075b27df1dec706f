import type { Millis } from '../../schemas/common.js';
import type { WatchHandle } from '../../exchanges/exchange-client.js';

/** One opening of the WebSocket feed. */
export interface Session {
  handle: WatchHandle | null;
  /** When its first message came, by the clock of durations; null before. */
  spokeAt: Millis | null;
  /** Polling saw something that this session should have brought. */
  missed: boolean;
  over: boolean;
}

export const newSession = (): Session => ({ handle: null, spokeAt: null, missed: false, over: false });

export const endSession = (session: Session): void => {
  session.over = true;
  session.handle?.close();
};
