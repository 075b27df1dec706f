/**
 * What `/v1/exchanges` says of each enabled exchange. An entry is kept for as long as the client describes the exchange
 * with the same object; one that cannot be described is listed without capabilities and costs the others nothing.
 */
import { AppError } from '../errors.js';
import { settleWithin } from '../lib/deadline.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import type { ExchangeEntry } from '../schemas/market.js';
import type { ExchangeClient, ExchangeDescription } from '../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../exchanges/exchange-names.js';

/** Longest wait for one description: it comes from CCXT's own tables, without an upstream call. */
const WAIT_MS: Millis = 2_000;
/** After a failure the exchange is listed without its capabilities for so long before it is asked again. */
const RETRY_MS: Millis = 5_000;

export interface ExchangeEntriesDeps {
  readonly exchanges: Pick<ExchangeClient, 'describe'>;
  readonly log: Log;
  readonly monotonic: () => Millis;
  /** Default: two seconds. */
  readonly waitMs?: Millis;
}

/** The same object for as long as there is nothing new to say. Never rejects. */
export type DescribeExchange = (as: ResolvedExchange) => Promise<ExchangeEntry>;

interface Known {
  readonly entry: ExchangeEntry;
  readonly description: ExchangeDescription;
}

interface Failed {
  readonly entry: ExchangeEntry;
  readonly retryAt: Millis;
}

export const createExchangeEntries = (deps: ExchangeEntriesDeps): DescribeExchange => {
  const { exchanges, log, monotonic, waitMs = WAIT_MS } = deps;
  // Both are bounded by the enabled exchanges.
  const known = new Map<string, Known>();
  const failed = new Map<string, Failed>();

  const unknownEntry = ({ name, exchange }: ResolvedExchange): ExchangeEntry =>
    failed.get(name)?.entry ?? {
      ...{ id: name, ccxt_id: exchange, name, capabilities: null },
      ...{ intervals: [], book_integrity: null },
    };

  return async (as) => {
    const { name, exchange } = as;
    const held = known.get(name);
    const before = failed.get(name);
    if (before !== undefined && monotonic() < before.retryAt) return before.entry;
    const giveUp = (): AppError =>
      new AppError('upstream_timeout', `${exchange} could not be described in time.`);
    try {
      const description = await settleWithin(exchanges.describe(exchange), { ms: waitMs, giveUp });
      if (held?.description === description) return held.entry;
      const { name: title, capabilities, intervals, bookIntegrity } = description;
      const entry = {
        ...{ id: name, ccxt_id: exchange, name: title, capabilities },
        intervals: [...intervals],
        book_integrity: bookIntegrity,
      };
      known.set(name, { entry, description });
      failed.delete(name);
      return entry;
    } catch (thrown) {
      if (held !== undefined) return held.entry;
      if (before === undefined) {
        const { code, message } = AppError.from(thrown);
        log.warn({ exchange, code, detail: message }, 'an exchange is listed without its capabilities');
      }
      const entry = unknownEntry(as);
      failed.set(name, { entry, retryAt: monotonic() + RETRY_MS });
      return entry;
    }
  };
};
