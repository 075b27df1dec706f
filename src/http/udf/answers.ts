/** The answers to what adapters ask, loaded with the first question: nobody else pays for them. */
import type { UdfRangeQuery, UdfSearchQuery } from '../../schemas/udf.js';
import type { UdfCaller, UdfDeps } from './caller.js';
import { history, marks } from './history.js';
import { namedMarket } from './named-market.js';
import { quotes } from './quotes.js';
import { searchMarkets } from './search.js';
import { symbolInfo } from './symbol-info.js';

/** Objects in the protocol's form. They reject with AppErrors. */
export const createUdfAnswers = (deps: UdfDeps) => ({
  symbol: async ({ symbol }: { readonly symbol: string }, caller: UdfCaller): Promise<object> =>
    symbolInfo(await namedMarket(deps, symbol, caller)),
  search: (query: UdfSearchQuery, caller: UdfCaller) => searchMarkets(deps, query, caller),
  history: (query: UdfRangeQuery, caller: UdfCaller) => history(deps, query, caller),
  marks: (query: UdfRangeQuery, caller: UdfCaller) => marks(deps, query, caller),
  quotes: (query: { readonly symbols: readonly string[] }, caller: UdfCaller) => quotes(deps, query, caller),
});
