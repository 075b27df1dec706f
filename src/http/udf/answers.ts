/**
 * TradingView's Universal Data Feed: what its adapter asks of a server, and OpenBB Workspace too. Protocol:
 * https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF/
 */
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { readInput } from '../../invalid-input.js';
import type { ManyTickers, MarketData, MarketQuery } from '../../market-data/market-data-api.js';
import { ticker as tickerSchema, type Candle, type Market } from '../../schemas/market.js';
import { readBars, barBefore, type BarRange, type Series } from './bars.js';
import { intervalOf, parseTicker, RESOLUTIONS, udfExchange, udfTicker } from './names.js';
import { searchResult, symbolInfo, type NamedMarket } from './symbol-info.js';

export interface UdfDeps {
  readonly marketData: MarketData & ManyTickers;
  /** Names as they are enabled. */
  readonly enabled: readonly string[];
  readonly sandbox: boolean;
  readonly now: () => number;
}

/** Who asks, and what it may. */
export interface UdfCaller {
  readonly client: string;
  readonly signal: AbortSignal;
  /** Throws `plan_forbids`. `exchange` is a CCXT id. */
  readonly requireExchange: (exchange: string) => void;
  readonly candles: (wanted: number) => number;
  /** Sets aside what so many candles cost. Throws `quota_exceeded`. */
  readonly reserve: (candles: number) => void;
  /** The answer holds so many candles. */
  readonly gave: (candles: number) => void;
  /** The request counts as one for each symbol. Throws what refuses them. */
  readonly countSymbols: (symbols: number) => void;
  readonly mayBackfill: boolean;
}

const MAX_TEXT = 200;
const MAX_QUOTES = 100;
/** 2100-01-01 in seconds. */
const LATEST_S = 4_102_444_800;
const text = z.string().max(MAX_TEXT);
const seconds = z
  .string()
  .regex(/^\d{1,11}(\.\d+)?$/, 'must be seconds since the epoch')
  .transform((value) => Math.min(LATEST_S, Math.floor(Number(value))));
const count = z
  .string()
  .regex(/^[1-9]\d{0,6}$/, 'must be a whole number')
  .transform(Number);

// Adapters send more than is used here (currencyCode, unitId), and newer ones may send still more.
const symbolQuery = z.object({ symbol: text });
const searchQuery = z.object({
  query: text.default(''),
  exchange: text.default(''),
  type: text.default(''),
  limit: count.default(30),
});
const rangeQuery = z.object({
  symbol: text,
  resolution: z.string().max(5),
  from: seconds,
  to: seconds,
  countback: count.optional(),
});
const quotesQuery = z.object({
  symbols: z
    .string()
    .transform((list) => [...new Set(list.split(',').filter((item) => item !== ''))])
    .pipe(z.array(text).min(1).max(MAX_QUOTES)),
});

/** Markets of one exchange that a search looks at. */
const SEARCHED = 200;
const MAX_RESULTS = 100;
const PAGE = 1000;

/** What was typed comes first: the whole name, then the base currency, then its beginning. */
const rankOf = ({ symbol, base, active }: Market, query: string): number => {
  const name = symbol.toUpperCase();
  const place = name === query ? 0 : base.toUpperCase() === query ? 1 : name.startsWith(query) ? 2 : 3;
  return place + (active === false ? 4 : 0);
};

type WholeCandle = Candle & Readonly<Record<'open' | 'high' | 'low' | 'close', number>>;
const isWhole = ({ open, high, low, close }: Candle): boolean =>
  [open, high, low, close].every((price) => price !== null);

const inSeconds = (ms: number): number => Math.floor(ms / 1000);

/** Made static, so that a chart can always begin: without these flags the adapter never gets ready. */
export const udfConfig = (enabled: readonly string[]) => ({
  supports_search: true,
  supports_group_request: false,
  supports_marks: false,
  supports_timescale_marks: true,
  supports_time: true,
  exchanges: [
    { value: '', name: 'All', desc: '' },
    ...enabled.map((name) => ({ value: udfExchange(name), name: udfExchange(name), desc: name })),
  ],
  symbols_types: [
    { name: 'All', value: '' },
    { name: 'Crypto', value: 'crypto' },
  ],
  supported_resolutions: RESOLUTIONS,
});

export class UdfAnswers {
  readonly #deps: UdfDeps;

  constructor(deps: UdfDeps) {
    this.#deps = deps;
  }

  async symbols(query: unknown, caller: UdfCaller): Promise<object> {
    return symbolInfo(await this.#named(readInput(symbolQuery, query, 'query').symbol, caller));
  }

  async search(given: unknown, { requireExchange, signal }: UdfCaller): Promise<object> {
    const { marketData, enabled, sandbox } = this.#deps;
    const { query, exchange, type, limit } = readInput(searchQuery, given, 'query');
    const wanted = query.trim().toUpperCase();
    const entries = await marketData.exchanges();
    const asked = entries.filter(({ id }) => exchange === '' || udfExchange(id) === udfExchange(exchange));
    if (asked.length === 0) marketData.resolveExchange(exchange.toLowerCase());
    if (type !== '' && type !== 'crypto') return [];
    const pages = await Promise.allSettled(
      asked
        .filter(({ id }) => enabled.includes(id))
        .map(async (entry) => {
          requireExchange(marketData.resolveExchange(entry.id).exchange);
          const filter = {
            exchange: entry.id,
            limit: SEARCHED,
            ...(wanted === '' ? {} : { search: wanted }),
          };
          const { page } = await marketData.markets(filter, signal);
          return page.markets.map((market) => ({ exchange: entry, market, sandbox }));
        }),
    );
    const failed = pages.find((each) => each.status === 'rejected');
    if (failed !== undefined && pages.every(({ status }) => status === 'rejected'))
      throw AppError.from(failed.reason);
    return pages
      .flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
      .map((named) => ({ named, rank: rankOf(named.market, wanted) }))
      .sort((a, b) => a.rank - b.rank)
      .slice(0, Math.min(limit, MAX_RESULTS))
      .map(({ named }) => searchResult(named));
  }

  async history(query: unknown, caller: UdfCaller): Promise<object> {
    const { series, range } = this.#range(query, caller);
    const source = this.#source(caller);
    const { candles } = await readBars({ ...source, reserve: caller.reserve }, series, range);
    caller.gave(candles.length);
    const bars = candles.filter((candle): candle is WholeCandle => isWhole(candle));
    if (bars.length === 0) {
      const before = range.countback === undefined ? await barBefore(source, series, range.from) : undefined;
      return before === undefined ? { s: 'no_data' } : { s: 'no_data', nextTime: inSeconds(before) };
    }
    // A volume that the venue does not say is none of zero.
    const volumes = bars.flatMap(({ volume }) => (volume === null ? [] : [volume]));
    return {
      s: 'ok',
      t: bars.map(({ timestamp }) => inSeconds(timestamp)),
      o: bars.map(({ open }) => open),
      h: bars.map(({ high }) => high),
      l: bars.map(({ low }) => low),
      c: bars.map(({ close }) => close),
      ...(volumes.length === bars.length ? { v: volumes } : {}),
    };
  }

  /** Stretches without candles, as marks below the chart. */
  async marks(query: unknown, caller: UdfCaller): Promise<object> {
    const { series, range } = this.#range(query, caller);
    const { gaps } = await readBars(this.#source(caller), series, range);
    return gaps.map(({ from, to, reason }) => ({
      id: `gap-${from}-${to}`,
      time: inSeconds(Math.max(from, range.from)),
      color: 'red',
      label: 'G',
      tooltip: [`No candles from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`, reason],
    }));
  }

  async quotes(query: unknown, caller: UdfCaller): Promise<object> {
    const { symbols } = readInput(quotesQuery, query, 'query');
    caller.countSymbols(symbols.length);
    return { s: 'ok', d: await Promise.all(symbols.map((symbol) => this.#quote(symbol, symbols, caller))) };
  }

  /** Quotes that are asked for in one request, by exchange: one question each. */
  readonly #asked = new WeakMap<readonly string[], Map<string, ReturnType<ManyTickers['tickers']>>>();

  async #quote(name: string, all: readonly string[], caller: UdfCaller): Promise<object> {
    try {
      const { exchange, symbol } = parseTicker(name);
      const { marketData, sandbox } = this.#deps;
      const resolved = marketData.resolveExchange(exchange);
      caller.requireExchange(resolved.exchange);
      const asked = this.#asked.get(all) ?? new Map<string, ReturnType<ManyTickers['tickers']>>();
      this.#asked.set(all, asked);
      const wanted = all.flatMap((each) => {
        const prefix = `${exchange}:`;
        return each.toLowerCase().startsWith(prefix) ? [each.slice(prefix.length)] : [];
      });
      const found =
        asked.get(exchange) ??
        marketData.tickers({ exchange, symbols: wanted, stats: true, client: caller.client }, caller.signal);
      asked.set(exchange, found);
      const { tickers, errors } = await found;
      const refused = errors.find((each) => each.symbol === symbol);
      if (refused !== undefined) throw refused.error;
      // What was found stands in the order asked, without what was refused.
      const place = wanted.filter((each) => !errors.some((error) => error.symbol === each)).indexOf(symbol);
      const answer = tickers[place];
      if (answer === undefined) throw new AppError('symbol_not_found', `${exchange} has no ${symbol}.`);
      const { body } = answer;
      const { last, bid, ask, stats, symbol: spelled } = tickerSchema.parse(JSON.parse(body.toString()));
      const entry = (await marketData.exchanges()).find(({ id }) => id === exchange);
      // As exact as the prices are: of a difference of two, the last digits of a double are noise.
      const change =
        last === null || typeof stats?.open !== 'number' ? null : Number((last - stats.open).toFixed(10));
      const values = {
        ...{ lp: last, bid, ask, volume: stats?.volume, ch: change, chp: stats?.change_percent },
        ...{ open_price: stats?.open, high_price: stats?.high, low_price: stats?.low },
        short_name: spelled,
        exchange: udfExchange(exchange),
        original_name: udfTicker(exchange, spelled),
        description: `${spelled} on ${entry?.name ?? exchange}${sandbox ? ' (simulated)' : ''}`,
      };
      const known = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
      return { s: 'ok', n: name, v: Object.fromEntries(known) };
    } catch (thrown) {
      const { code, message } = AppError.from(thrown);
      return { s: 'error', n: name, v: {}, errmsg: message, code };
    }
  }

  #range(query: unknown, caller: UdfCaller): { readonly series: Series; readonly range: BarRange } {
    const { symbol: name, resolution, from, to, countback } = readInput(rangeQuery, query, 'query');
    const { exchange, symbol } = parseTicker(name);
    caller.requireExchange(this.#deps.marketData.resolveExchange(exchange).exchange);
    const interval = intervalOf(resolution);
    return { series: { exchange, symbol, interval }, range: { from: from * 1000, to: to * 1000, countback } };
  }

  #source({ client, signal, candles, mayBackfill }: UdfCaller) {
    const { marketData, now } = this.#deps;
    return {
      get: (query: MarketQuery) => marketData.get({ ...query, client, mayBackfill }, signal),
      now,
      allowed: candles,
    };
  }

  /** A market by its exact name, or the only one that the name may mean. */
  async #named(name: string, { requireExchange, signal }: UdfCaller): Promise<NamedMarket> {
    const { marketData, sandbox } = this.#deps;
    const { exchange: asked, symbol } = parseTicker(name);
    requireExchange(marketData.resolveExchange(asked).exchange);
    const entry = (await marketData.exchanges()).find(({ id }) => id === asked);
    const market = await this.#market(asked, symbol, signal);
    if (entry !== undefined && market !== undefined) return { exchange: entry, market, sandbox };
    // Asked for as data is, so that the refusal names what is near.
    const answer = await marketData.get({ kind: 'ticker', exchange: asked, symbol, fallback: false }, signal);
    const { symbol: spelled } = tickerSchema.parse(JSON.parse(answer.body.toString()));
    const found = await this.#market(asked, spelled, signal);
    if (entry === undefined || found === undefined)
      throw new AppError('symbol_not_found', `${asked} has no ${symbol}.`);
    return { exchange: entry, market: found, sandbox };
  }

  async #market(exchange: string, symbol: string, signal: AbortSignal): Promise<Market | undefined> {
    for (let cursor: string | undefined; ;) {
      const filter = { exchange, search: symbol, limit: PAGE, cursor };
      const { page } = await this.#deps.marketData.markets(filter, signal);
      const market = page.markets.find((each) => each.symbol === symbol);
      if (market !== undefined || page.next_cursor === null) return market;
      cursor = page.next_cursor;
    }
  }
}

/** OpenBB Workspace's list of what a server offers, and its list of layouts. */
export const openBbFiles = (enabled: readonly string[]) => {
  const [first = 'binance'] = enabled;
  const id = 'crypto_chart';
  const widgets = {
    [id]: {
      name: 'Crypto chart',
      description: 'Candles of any market of the enabled exchanges',
      category: 'Crypto',
      type: 'advanced_charting',
      endpoint: '/udf',
      gridData: { w: 40, h: 20 },
      data: { defaultSymbol: udfTicker(first, 'BTC/USDT'), updateFrequency: 10_000 },
    },
  };
  const layout = [{ i: id, x: 0, y: 0, w: 40, h: 20 }];
  const apps = [
    {
      name: 'Crypto market data',
      description: 'A chart of any market that this server knows',
      allowCustomization: true,
      tabs: { '': { id: '', name: '', layout } },
      groups: [],
    },
  ];
  return { widgets, apps };
};
