/**
 * The allow-list of exchange names. A name from outside is only ever looked up in a Map, never in an object, so that
 * `__proto__` or `constructor` is an unknown exchange like any other.
 */
import { AppError } from '../errors.js';
import { MAX_EXCHANGE_LENGTH, type ExchangeId } from '../schemas/common.js';
import type { ResolvedExchange } from '../market-data/market-data-api.js';

/** Names that outlived their CCXT class, with its successor. */
const ALIASES: ReadonlyMap<string, ExchangeId> = new Map([['coinbasepro', 'coinbaseexchange']]);

const MAX_SUGGESTIONS = 3;
/** A name that differs in more letters than this is another name, not a typing error. */
const MAX_TYPING_ERRORS = 3;

export interface ExchangeNames {
  /**
   * Any case, alias or CCXT id. Throws AppError `unknown_exchange` (with the nearest names) or
   * `exchange_not_enabled` (with the enabled ones).
   */
  resolve(name: string): ResolvedExchange;
  /** Each enabled name as it was enabled, with its CCXT id, in the order of the setting. */
  readonly enabled: readonly ResolvedExchange[];
  /** The CCXT ids behind them, without repetitions. */
  readonly exchangeIds: readonly ExchangeId[];
}

/** Every name that ENABLED_EXCHANGES may hold: CCXT's ids and our aliases of them. */
export const knownExchangeNames = (knownIds: readonly ExchangeId[]): ReadonlySet<string> => {
  const ids = new Set<string>(knownIds);
  const aliases = [...ALIASES].filter(([, id]) => ids.has(id)).map(([alias]) => alias);
  return new Set([...knownIds, ...aliases]);
};

/** A table by any name as one by CCXT ids. What stands under the id itself goes before what stands under an alias. */
export const byExchangeId = <T>(table: Readonly<Record<string, T>>): Readonly<Record<ExchangeId, T>> => {
  const entries = Object.entries(table);
  const ofAliases = entries.flatMap(([name, value]) => {
    const id = ALIASES.get(name);
    return id === undefined ? [] : [[id, value] as const];
  });
  return Object.fromEntries([...ofAliases, ...entries]);
};

/** Letters to insert, delete or replace to turn `a` into `b`. Both are short: names are bounded by the caller. */
const editDistance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
};

const nearest = (name: string, candidates: Iterable<string>): string[] => {
  const bound = Math.min(MAX_TYPING_ERRORS, Math.floor(name.length / 2));
  return [...candidates]
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .filter(({ candidate, distance }) => distance <= bound || candidate.startsWith(name))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ candidate }) => candidate);
};

/** `enabled`: names as configured (aliases allowed). `knownIds`: every id that CCXT has. */
export const createExchangeNames = ({
  enabled,
  knownIds,
}: {
  readonly enabled: readonly string[];
  readonly knownIds: readonly ExchangeId[];
}): ExchangeNames => {
  const known = knownExchangeNames(knownIds);
  const listed = enabled.map((name) => ({ name, exchange: ALIASES.get(name) ?? name }));
  const names = new Map<string, ResolvedExchange>(listed.map((entry) => [entry.name, entry]));
  // Enabling the alias or its successor enables both names.
  for (const { exchange } of listed) names.set(exchange, { name: exchange, exchange });
  for (const [alias, exchange] of ALIASES)
    if (names.has(exchange)) names.set(alias, { name: alias, exchange });
  const enabledList = listed.map(({ name }) => name).join(', ');

  const refuse = (name: string): AppError => {
    if (known.has(name)) {
      const message = `The exchange ${name} is not enabled on this server. Enabled: ${enabledList}.`;
      return new AppError('exchange_not_enabled', message, {
        errors: [{ parameter: 'exchange', reason: `must be one of ${enabledList}` }],
      });
    }
    // The name is repeated in a message: only what can be a name is, and never at length.
    const shown = /^[a-z0-9_]+$/.test(name) && name.length <= MAX_EXCHANGE_LENGTH ? name : null;
    const similar = shown === null ? [] : nearest(shown, known);
    const advice =
      similar.length > 0 ? `Did you mean ${similar.join(', ')}?` : `Enabled here: ${enabledList}.`;
    const subject = shown === null ? 'No exchange has that name.' : `No exchange is called ${shown}.`;
    return new AppError('unknown_exchange', `${subject} ${advice}`, {
      errors: [{ parameter: 'exchange', reason: advice }],
    });
  };

  return {
    enabled: listed,
    exchangeIds: [...new Set(listed.map(({ exchange }) => exchange))],
    resolve(name) {
      const found = names.get(name) ?? names.get(name.toLowerCase());
      if (found === undefined) throw refuse(name.toLowerCase());
      return found;
    },
  };
};
