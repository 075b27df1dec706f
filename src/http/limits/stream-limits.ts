/**
 * What a plan allows a caller to have open, at the connection and at each subscription; and what is metered of it. A
 * slot is released when its socket closes.
 */
import type { Socket } from 'node:net';
import type { LiveLimits } from '../../access/live-limits.js';
import type { Metering } from '../../access/metering.js';
import type { Permit } from '../../access/permit.js';
import type { Principal } from '../../access/principal.js';
import type { Caller } from '../../access/quotas.js';
import type { TopicName } from '../../streams/clients/connection.js';
import type { AdmittedTopic } from '../../streams/clients/subscriptions.js';

/** null: access is off. */
export type StreamLimitsDeps = {
  readonly live: LiveLimits;
  readonly metering: Metering;
  readonly permits: (principal: Principal) => Permit;
} | null;

/** One open connection, as limits know it. */
export interface LimitedStream {
  /** A good subscription to one topic; throws `plan_forbids` or `stream_limit_reached`. `exchange` is a CCXT id. */
  admitTopic(exchange: string, topic: Pick<TopicName, 'symbol'>): AdmittedTopic;
  /** The one topic of a connection that has no subscriptions; gives what is to be called once it has begun. */
  openTopic(exchange: string, symbol: string): () => void;
  /** An operation that came over the connection got a good answer, which costs so many units. */
  answered(units: number): void;
  /** Rejects with `stream_limit_reached` where other processes have all places of what was opened so far. */
  confirmed(): Promise<void>;
  /** Gives back what was taken, before the socket closes. Idempotent. */
  end(): void;
}

const nothing = (): void => undefined;
const UNLIMITED_STREAM: LimitedStream = {
  admitTopic: () => ({ confirmed: null, began: nothing, end: nothing }),
  openTopic: () => nothing,
  confirmed: () => Promise.resolve(),
  answered: nothing,
  end: nothing,
};

/** What a topic costs. */
const TOPIC = { units: 1, bytes: 0, isRefused: false } as const;

/** Where a connection comes from: its client's address, and what it lives on. */
interface StreamOrigin {
  readonly client: string;
  readonly socket: Socket;
}

export interface StreamLimits {
  /** A connection over `socket`, whose caller is `principal`; throws `stream_limit_reached`. */
  open(at: StreamOrigin, principal: Principal | null): LimitedStream;
  /** Resolves when it is known what the caller of a connection used before, as for a request. Never rejects. */
  learn(principal: Principal | null): Promise<void>;
}

export const createStreamLimits = (deps: StreamLimitsDeps): StreamLimits => ({
  learn(principal) {
    if (deps === null || principal === null) return Promise.resolve();
    deps.metering.asked(principal, 0);
    return deps.metering.learn(principal);
  },
  open({ client, socket }, principal) {
    if (deps === null || principal === null) return UNLIMITED_STREAM;
    const { live, metering, permits } = deps;
    const caller: Caller<Principal> = { principal, client };
    const permit = permits(principal);
    const place = live.openStream(caller);
    const confirmations = [place.confirmed];
    const ends = [place.end, metering.opened(principal, () => socket.bytesWritten)];
    let ended = false;
    const end = (): void => {
      ended = true;
      socket.off('close', end);
      for (const giveBack of ends.splice(0)) giveBack();
    };
    socket.once('close', end);
    // Its close may be over already, and comes no second time.
    if (socket.destroyed) end();
    const hold = (giveBack: () => void): void => {
      if (ended) giveBack();
      else ends.push(giveBack);
    };
    return {
      end,
      async confirmed() {
        for (const one of confirmations) await one;
      },
      openTopic(exchange, symbol) {
        permit.requireExchange(exchange);
        const topic = live.openSymbol(caller, `${exchange} ${symbol}`);
        confirmations.push(topic.confirmed);
        hold(topic.end);
        return () => metering.answered(caller, TOPIC);
      },
      answered(units) {
        metering.asked(principal);
        metering.answered(caller, { units, bytes: 0, isRefused: false });
      },
      admitTopic(exchange, { symbol }) {
        permit.requireExchange(exchange);
        return {
          began: () => metering.answered(caller, TOPIC),
          ...live.openSubscription(caller, `${exchange} ${symbol}`),
        };
      },
    };
  },
});
