/**
 * What a plan allows at once: connections, subscriptions and distinct symbols. Counted on this server, per consumer, of
 * callers without a credential per address.
 */
import { AppError } from '../errors.js';
import type { Caller } from './quotas.js';

/** When somebody who has too much open may try again. */
const RETRY_AFTER_MS = 5_000;

interface Held {
  streams: number;
  subscriptions: number;
  /** How often each is open. */
  readonly symbols: Map<string, number>;
}

export interface LiveLimits {
  /** One more connection. Gives how it is given back; throws `stream_limit_reached`. */
  openStream(caller: Caller): () => void;
  /** One more subscription to what `symbol` names, of a connection that is counted already. */
  openSubscription(caller: Caller, symbol: string): () => void;
  /** The symbol of a connection that has no subscriptions. */
  openSymbol(caller: Caller, symbol: string): () => void;
}

const tooMany = (limit: number, what: string): AppError =>
  new AppError('stream_limit_reached', `The plan allows at most ${limit} ${what} at once.`, {
    retryAfterMs: RETRY_AFTER_MS,
  });

/** What is given back twice is given back once. */
const once = (work: () => void): (() => void) => {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
};

export const createLiveLimits = (): LiveLimits => {
  const holders = new Map<string, Held>();

  const keyOf = ({ principal, client }: Caller): string =>
    principal.kind === 'anonymous' ? `address ${client}` : `consumer ${principal.consumer.id}`;

  const heldBy = (caller: Caller): Held =>
    holders.get(keyOf(caller)) ?? { streams: 0, subscriptions: 0, symbols: new Map<string, number>() };

  const keep = (caller: Caller, held: Held): void => {
    const { streams, subscriptions, symbols } = held;
    if (streams + subscriptions + symbols.size === 0) holders.delete(keyOf(caller));
    else holders.set(keyOf(caller), held);
  };

  const checkSymbol = (caller: Caller, symbol: string): void => {
    const most = caller.principal.plan.limits.symbols;
    const { symbols } = heldBy(caller);
    if (most !== null && !symbols.has(symbol) && symbols.size >= most) throw tooMany(most, 'symbols');
  };

  const addSymbol = (caller: Caller, symbol: string, by: 1 | -1): void => {
    const held = heldBy(caller);
    const count = (held.symbols.get(symbol) ?? 0) + by;
    if (count > 0) held.symbols.set(symbol, count);
    else held.symbols.delete(symbol);
    keep(caller, held);
  };

  return {
    openStream(caller) {
      const most = caller.principal.plan.limits.streams;
      const held = heldBy(caller);
      if (most !== null && held.streams >= most) throw tooMany(most, 'streams');
      held.streams += 1;
      keep(caller, held);
      return once(() => {
        held.streams -= 1;
        keep(caller, held);
      });
    },
    openSubscription(caller, symbol) {
      const most = caller.principal.plan.limits.subscriptions;
      const held = heldBy(caller);
      if (most !== null && held.subscriptions >= most) throw tooMany(most, 'subscriptions');
      checkSymbol(caller, symbol);
      held.subscriptions += 1;
      keep(caller, held);
      addSymbol(caller, symbol, 1);
      return once(() => {
        held.subscriptions -= 1;
        addSymbol(caller, symbol, -1);
        keep(caller, held);
      });
    },
    openSymbol(caller, symbol) {
      checkSymbol(caller, symbol);
      addSymbol(caller, symbol, 1);
      return once(() => addSymbol(caller, symbol, -1));
    },
  };
};
