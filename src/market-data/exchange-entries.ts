/** What `/v1/exchanges` says of each enabled exchange: asked of the client once, since it never changes. */
import { AppError } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';
import type { ExchangeEntry } from '../schemas/market.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { errorInWordsOf } from '../exchanges/named-error.js';
import type { ResolvedExchange } from './market-data-api.js';

export type DescribeExchange = (as: ResolvedExchange) => Promise<ExchangeEntry>;

export const createExchangeEntries = (exchanges: Pick<ExchangeClient, 'describe'>): DescribeExchange => {
  // Bounded by the enabled exchanges.
  const known = new Map<ExchangeId, Omit<ExchangeEntry, 'id'>>();
  return async (as) => {
    const { name, exchange } = as;
    let entry = known.get(exchange);
    if (entry === undefined) {
      const description = await exchanges.describe(exchange).catch((thrown: unknown) => {
        throw errorInWordsOf(as, AppError.from(thrown));
      });
      const { name: title, capabilities, intervals, bookIntegrity } = description;
      entry = {
        ccxt_id: exchange,
        name: title,
        capabilities,
        intervals: [...intervals],
        book_integrity: bookIntegrity,
      };
      known.set(exchange, entry);
    }
    return { id: name, ...entry };
  };
};
