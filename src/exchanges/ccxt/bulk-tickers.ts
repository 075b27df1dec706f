/** Many tickers of a venue in one request, where CCXT has one for that. */
import { AppError } from '../../errors.js';
import type { Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { BulkTicker, CallOptions, MarketAnswer, TickersRequest } from '../exchange-client.js';
import { can } from './capabilities.js';
import { member } from './ccxt-exchange.js';
import { NO_BODY, tickerAnswer } from './market-requests.js';
import type { ReadyVenue, Venue } from './venue.js';

/** CCXT refuses to mix kinds of markets in one call: they are different addresses of the venue. */
const kindOf = (ready: ReadyVenue, symbol: UnifiedSymbol): string => {
  const market = member(ready.ccxt.markets, symbol);
  return ['type', 'linear', 'inverse'].map((name) => String(member(market, name))).join(' ');
};

interface Wanted {
  readonly asked: string;
  readonly symbol: UnifiedSymbol;
}

/** undefined: it makes no sense, or is not there. */
const answerOf = (
  venue: Venue,
  fetched: unknown,
  { symbol, at }: { readonly symbol: UnifiedSymbol; readonly at: Millis },
): MarketAnswer | undefined => {
  if (fetched === undefined) return undefined;
  try {
    return tickerAnswer(venue, fetched, { symbol, receivedAt: at });
  } catch {
    return undefined;
  }
};

/**
 * One request a kind of market (spot, swap …). What is not among the tickers of the answer (symbols that the venue does not
 * list, or left out) is to be asked for by itself, which tells why. Rejects with `not_supported_by_exchange` where CCXT has no such request, and with whatever CCXT throws.
 */
export const answerTickers = async (
  venue: Venue,
  { exchange, symbols }: TickersRequest,
  { receivedAt, ...options }: CallOptions & { readonly receivedAt: () => number },
): Promise<MarketAnswer> => {
  const ready = await venue.ready(options);
  if (!can(ready.ccxt, 'fetchTickers'))
    throw new AppError('not_supported_by_exchange', `${exchange} has no request for several tickers.`);
  const wanted = new Map<string, Wanted[]>();
  for (const asked of symbols) {
    const [symbol, ...others] = ready.markets.symbols.resolve(asked).symbols;
    if (symbol === undefined || others.length > 0) continue;
    const kind = kindOf(ready, symbol);
    wanted.set(kind, [...(wanted.get(kind) ?? []), { asked, symbol }]);
  }
  const tickers: BulkTicker[] = [];
  for (const group of wanted.values()) {
    const fetched = await ready.ccxt.fetchTickers([...new Set(group.map(({ symbol }) => symbol))]);
    const at = receivedAt();
    for (const { asked, symbol } of group) {
      const answer = answerOf(venue, member(fetched, symbol), { symbol, at });
      if (answer !== undefined) tickers.push({ asked, answer });
    }
  }
  return { body: NO_BODY, symbol: '', receivedAt: receivedAt(), closesAt: null, tickers };
};
