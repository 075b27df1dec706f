/**
 * What a plan allows at once: connections, subscriptions and distinct symbols. Counted on this server, over all of its
 * processes, per consumer, of callers without a credential per address.
 */
import { AppError } from '../errors.js';
import type { TakePlaces, WantedPlace } from '../lib/open-places.js';
import type { Caller } from './quotas.js';

/** When somebody who has too much open may try again. */
const RETRY_AFTER_MS = 5_000;

interface Held {
  streams: number;
  subscriptions: number;
  /** How often each is open. */
  readonly symbols: Map<string, number>;
}

/** What is open until `end`, which is idempotent. */
interface OpenPlace {
  /** Rejects with `stream_limit_reached` where other processes have all of it open; null: no other is asked. */
  readonly confirmed: Promise<void> | null;
  readonly end: () => void;
}

export interface LiveLimits {
  /** One more connection. Throws `stream_limit_reached`. */
  openStream(caller: Caller): OpenPlace;
  /** One more subscription to what `symbol` names, of a connection that is counted already. */
  openSubscription(caller: Caller, symbol: string): OpenPlace;
  /** The symbol of a connection that has no subscriptions. */
  openSymbol(caller: Caller, symbol: string): OpenPlace;
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

/** `takePlaces`: over all processes of the server; default: there is one. */
export const createLiveLimits = (takePlaces?: TakePlaces): LiveLimits => {
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

  /** Opens what was found to be free here. `what`: the words for each of the places. */
  const opened = (
    places: readonly (WantedPlace & { readonly what: string })[],
    close: () => void,
  ): OpenPlace => {
    const taken = takePlaces?.(places.map(({ of, item, most }) => ({ of, item, most })));
    const end = once(() => {
      close();
      taken?.giveBack();
    });
    if (taken === undefined) return { confirmed: null, end };
    const confirmed = taken.missing.then((index) => {
      const missing = index === null ? undefined : places[index];
      if (missing === undefined) return;
      end();
      throw tooMany(missing.most, missing.what);
    });
    // Whoever waits for it is told.
    confirmed.catch(() => undefined);
    return { confirmed, end };
  };

  const placeOf = (caller: Caller, what: 'streams' | 'subscriptions' | 'symbols', item?: string) => ({
    ...{ of: `${what} of ${keyOf(caller)}`, item, what },
    most: caller.principal.plan.limits[what] ?? Infinity,
  });

  return {
    openStream(caller) {
      const most = caller.principal.plan.limits.streams;
      const held = heldBy(caller);
      if (most !== null && held.streams >= most) throw tooMany(most, 'streams');
      held.streams += 1;
      keep(caller, held);
      return opened([placeOf(caller, 'streams')], () => {
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
      return opened([placeOf(caller, 'subscriptions'), placeOf(caller, 'symbols', symbol)], () => {
        held.subscriptions -= 1;
        addSymbol(caller, symbol, -1);
        keep(caller, held);
      });
    },
    openSymbol(caller, symbol) {
      checkSymbol(caller, symbol);
      addSymbol(caller, symbol, 1);
      return opened([placeOf(caller, 'symbols', symbol)], () => addSymbol(caller, symbol, -1));
    },
  };
};
