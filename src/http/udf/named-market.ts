/** The market that a ticker names. */
import { AppError } from '../../errors.js';
import { ticker, type Market } from '../../schemas/market.js';
import type { UdfCaller, UdfDeps } from './caller.js';
import { parseTicker } from './names.js';
import type { NamedMarket } from './symbol-info.js';

const PAGE = 1000;

const findMarket = async (
  { marketData }: Pick<UdfDeps, 'marketData'>,
  { exchange, symbol }: { readonly exchange: string; readonly symbol: string },
  signal: AbortSignal,
): Promise<Market | undefined> => {
  for (let cursor: string | undefined; ;) {
    const { page } = await marketData.markets({ exchange, search: symbol, limit: PAGE, cursor }, signal);
    const market = page.markets.find((each) => each.symbol === symbol);
    if (market !== undefined || page.next_cursor === null) return market;
    cursor = page.next_cursor;
  }
};

/** By its exact name, or the only one that the name may mean. Throws `symbol_not_found`. */
export const namedMarket = async (
  deps: UdfDeps,
  name: string,
  { requireExchange, signal }: UdfCaller,
): Promise<NamedMarket> => {
  const { marketData, sandbox } = deps;
  const { exchange: asked, symbol } = parseTicker(name);
  requireExchange(marketData.resolveExchange(asked).exchange);
  const entry = (await marketData.exchanges()).find(({ id }) => id === asked);
  const market = await findMarket(deps, { exchange: asked, symbol }, signal);
  if (entry !== undefined && market !== undefined) return { exchange: entry, market, sandbox };
  // Asked for as data is, so that the refusal names what is near.
  const answer = await marketData.get({ kind: 'ticker', exchange: asked, symbol, fallback: false }, signal);
  const { symbol: spelled } = ticker.parse(JSON.parse(answer.body.toString()));
  const found = await findMarket(deps, { exchange: asked, symbol: spelled }, signal);
  if (entry === undefined || found === undefined)
    throw new AppError('symbol_not_found', `${asked} has no ${symbol}.`);
  return { exchange: entry, market: found, sandbox };
};
