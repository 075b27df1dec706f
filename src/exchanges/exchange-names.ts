/**
 * The allow-list of exchange names. A name from outside is only ever looked up in a Map, never in an object, so that
 * `__proto__` or `constructor` is an unknown exchange like any other.
 */
import { AppError } from '../errors.js';
import { nearestNames } from '../lib/edit-distance.js';
import { MAX_EXCHANGE_LENGTH, type ExchangeId } from '../schemas/common.js';

/** Names that outlived their CCXT class, with its successor. */
const ALIASES: ReadonlyMap<string, ExchangeId> = new Map([['coinbasepro', 'coinbaseexchange']]);

/** A name as a caller may use it, and the CCXT id behind it. */
export interface ResolvedExchange {
  readonly name: string;
  readonly exchange: ExchangeId;
}

export interface ExchangeNames {
  /**
   * Any case, alias or CCXT id. Throws AppError `unknown_exchange` (with the nearest names) or
   * `exchange_not_enabled` (with the enabled ones).
   */
  resolve(name: string): ResolvedExchange;
  /** The same for an exchange that need not be enabled; throws `unknown_exchange` alone. */
  resolveKnown(name: string): ResolvedExchange;
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
      const meant = nearestNames(
        name,
        listed.map((entry) => entry.name),
      );
      const hint = meant.length > 0 ? `Did you mean ${meant.join(', ')}? ` : '';
      const message = `The exchange ${name} is not enabled on this server. ${hint}Enabled: ${enabledList}.`;
      return new AppError('exchange_not_enabled', message, {
        errors: [{ parameter: 'exchange', reason: `must be one of ${enabledList}` }],
      });
    }
    // The name is repeated in a message: only what can be a name is, and never at length.
    const shown = /^[a-z0-9_]+$/.test(name) && name.length <= MAX_EXCHANGE_LENGTH ? name : null;
    const similar = shown === null ? [] : nearestNames(shown, known);
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
    resolveKnown(given) {
      const name = given.toLowerCase();
      const found = names.get(given) ?? names.get(name);
      if (found !== undefined) return found;
      if (known.has(name)) return { name, exchange: ALIASES.get(name) ?? name };
      throw refuse(name);
    },
    resolve(name) {
      const found = names.get(name) ?? names.get(name.toLowerCase());
      if (found === undefined) throw refuse(name.toLowerCase());
      return found;
    },
  };
};
