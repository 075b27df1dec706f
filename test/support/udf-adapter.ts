/**
 * What TradingView's UDF adapter does (datafeeds/udf/src: udf-compatible-datafeed-base.ts, history-provider.ts,
 * data-pulse-provider.ts, quotes-provider.ts, requester.ts): the same requests in the same order, the status of an answer ignored.
 */
import { z } from 'zod';

const failure = z.looseObject({ s: z.literal('error'), errmsg: z.string() });
const config = z.looseObject({
  supports_search: z.boolean(),
  supports_group_request: z.boolean(),
  supported_resolutions: z.array(z.string()),
  exchanges: z.array(z.object({ value: z.string(), name: z.string(), desc: z.string() })),
});
const symbolInfo = z.looseObject({
  name: z.string(),
  ticker: z.string(),
  minmov: z.number().positive(),
  pricescale: z.number().positive(),
  has_intraday: z.boolean(),
  intraday_multipliers: z.array(z.string()),
  supported_resolutions: z.array(z.string()),
  timezone: z.literal('Etc/UTC'),
  session: z.literal('24x7'),
});
const results = z.array(
  z.looseObject({ symbol: z.string(), full_name: z.string(), exchange: z.string(), ticker: z.string() }),
);
const columns = {
  t: z.array(z.int()),
  o: z.array(z.number()),
  h: z.array(z.number()),
  l: z.array(z.number()),
};
const history = z.discriminatedUnion('s', [
  z.looseObject({
    s: z.literal('ok'),
    ...columns,
    c: z.array(z.number()),
    v: z.array(z.number()).optional(),
  }),
  z.looseObject({ s: z.literal('no_data'), nextTime: z.int().optional() }),
  failure,
]);
const quotes = z.union([
  z.looseObject({
    s: z.literal('ok'),
    d: z.array(z.looseObject({ s: z.string(), n: z.string(), v: z.record(z.string(), z.unknown()) })),
  }),
  failure,
]);

export interface Bar {
  readonly time: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
}
export type Period = Readonly<Record<'from' | 'to' | 'countBack', number>>;

export class UdfAdapter {
  readonly #base: string;

  constructor(base: string) {
    this.#base = base;
  }

  /** `requester.ts`: the body is parsed, whatever the status. */
  async request(path: string, params: Readonly<Record<string, string | number>> = {}): Promise<unknown> {
    const query = new URLSearchParams(
      Object.entries(params).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const answer = await fetch(`${this.#base}/${path}${query.size > 0 ? `?${query.toString()}` : ''}`);
    return JSON.parse(await answer.text());
  }

  /** `_setupWithConfiguration` throws for an answer without either flag. */
  async onReady() {
    const read = config.parse(await this.request('config'));
    if (!read.supports_search && !read.supports_group_request)
      throw new Error('Unsupported datafeed configuration.');
    return read;
  }

  time = async (): Promise<number> => z.int().parse(await this.request('time'));

  searchSymbols = async (query: string, exchange = '', type = '') =>
    results.parse(await this.request('search', { limit: 30, query: query.toUpperCase(), type, exchange }));

  /** `resolveSymbol`: rejects with the text of an error. */
  async resolveSymbol(symbol: string) {
    const answer = await this.request('symbols', { symbol });
    const failed = failure.safeParse(answer);
    if (failed.success) throw new Error(failed.data.errmsg);
    return symbolInfo.parse(answer);
  }

  /** `HistoryProvider.getBars`. */
  async getBars(symbol: string, resolution: string, { from, to, countBack }: Period) {
    const params = { symbol, resolution, from, to, countback: countBack };
    const answer = history.parse(await this.request('history', params));
    if (answer.s === 'error') throw new Error(answer.errmsg);
    if (answer.s === 'no_data') return { bars: [] as Bar[], noData: true, nextTime: answer.nextTime };
    const bars = answer.t.map((time, index): Bar => ({
      time: time * 1000,
      open: answer.o[index] ?? Number.NaN,
      high: answer.h[index] ?? Number.NaN,
      low: answer.l[index] ?? Number.NaN,
      close: answer.c[index] ?? Number.NaN,
    }));
    return { bars, noData: false, nextTime: undefined };
  }

  /** `DataPulseProvider`: every ten seconds, the last two bars. */
  pulse(symbol: string, resolution: string, { nowS, periodS }: Readonly<Record<'nowS' | 'periodS', number>>) {
    return this.getBars(symbol, resolution, { from: nowS - 10 * periodS, to: nowS + periodS, countBack: 2 });
  }

  async getQuotes(symbols: readonly string[]) {
    const answer = quotes.parse(await this.request('quotes', { symbols: symbols.join(',') }));
    if ('errmsg' in answer) throw new Error(String(answer.errmsg));
    return answer.d as readonly { s: string; n: string; v: Readonly<Record<string, unknown>> }[];
  }

  async getTimescaleMarks(symbol: string, resolution: string, { from, to }: Omit<Period, 'countBack'>) {
    const answer = await this.request('timescale_marks', { symbol, from, to, resolution });
    return z
      .array(
        z.object({
          id: z.string(),
          time: z.int(),
          color: z.string(),
          label: z.string(),
          tooltip: z.array(z.string()),
        }),
      )
      .parse(answer);
  }
}
