/** Quotes of many symbols: one question for each exchange, and a bad symbol spoils no good one. */
import { AppError } from '../../errors.js';
import type { ManyTickers } from '../../market-data/market-data-api.js';
import { ticker as tickerSchema } from '../../schemas/market.js';
import type { UdfCaller, UdfDeps } from './caller.js';
import { parseTicker, udfExchange, udfTicker } from './names.js';

type Found = Awaited<ReturnType<ManyTickers['tickers']>>;

/** The symbols that `all` name of one exchange. */
const symbolsOf = (all: readonly string[], exchange: string): string[] =>
  all.flatMap((each) => {
    const prefix = `${exchange}:`;
    return each.toLowerCase().startsWith(prefix) ? [each.slice(prefix.length)] : [];
  });

const valuesOf = async (
  { marketData, sandbox }: UdfDeps,
  { exchange, body }: { readonly exchange: string; readonly body: Buffer },
): Promise<object> => {
  const { last, bid, ask, stats, symbol } = tickerSchema.parse(JSON.parse(body.toString()));
  const entry = (await marketData.exchanges()).find(({ id }) => id === exchange);
  // As exact as the prices are: of a difference of two, the last digits of a double are noise.
  const change =
    last === null || typeof stats?.open !== 'number' ? null : Number((last - stats.open).toFixed(10));
  const values = {
    ...{ lp: last, bid, ask, volume: stats?.volume, ch: change, chp: stats?.change_percent },
    ...{ open_price: stats?.open, high_price: stats?.high, low_price: stats?.low },
    short_name: symbol,
    exchange: udfExchange(exchange),
    original_name: udfTicker(exchange, symbol),
    description: `${symbol} on ${entry?.name ?? exchange}${sandbox ? ' (simulated)' : ''}`,
  };
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== null && value !== undefined),
  );
};

/** In the order of `symbols`, each once. */
export const quotes = async (
  deps: UdfDeps,
  { symbols }: { readonly symbols: readonly string[] },
  caller: UdfCaller,
): Promise<object> => {
  caller.countSymbols(symbols.length);
  const { marketData } = deps;
  const asked = new Map<string, Promise<Found>>();
  const ask = (exchange: string, wanted: readonly string[]): Promise<Found> => {
    const present = asked.get(exchange);
    if (present !== undefined) return present;
    const query = { exchange, symbols: wanted, stats: true, client: caller.client };
    const answer = marketData.tickers(query, caller.signal);
    asked.set(exchange, answer);
    return answer;
  };
  const quote = async (name: string): Promise<object> => {
    try {
      const { exchange, symbol } = parseTicker(name);
      caller.requireExchange(marketData.resolveExchange(exchange).exchange);
      const wanted = symbolsOf(symbols, exchange);
      const { tickers, errors } = await ask(exchange, wanted);
      const refused = errors.find((each) => each.symbol === symbol);
      if (refused !== undefined) throw refused.error;
      // What was found stands in the order asked, without what was refused.
      const place = wanted.filter((each) => !errors.some((error) => error.symbol === each)).indexOf(symbol);
      const answer = tickers[place];
      if (answer === undefined) throw new AppError('symbol_not_found', `${exchange} has no ${symbol}.`);
      return { s: 'ok', n: name, v: await valuesOf(deps, { exchange, body: answer.body }) };
    } catch (thrown) {
      const { code, message } = AppError.from(thrown);
      return { s: 'error', n: name, v: {}, errmsg: message, code };
    }
  };
  return { s: 'ok', d: await Promise.all(symbols.map(quote)) };
};
