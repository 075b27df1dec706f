/**
 * Candles as CSV, made of the JSON of the same answer: on the first use, once for its bytes, and kept as long as they
 * are. Members of the JSON beside the candles become headers.
 */
import { csvText } from '../../ledger/export/csv.js';
import { ohlcv } from '../../schemas/market.js';
import type { HeaderPair } from './common-headers.js';
import { dataGapsHeader } from './data-gaps.js';

/** RFC 4180 and RFC 7111: the first line names the columns. */
export const CSV_CONTENT_TYPE = 'text/csv; charset=utf-8; header=present';

export interface CsvForm {
  readonly key: 'csv';
  /** Quoted; another one than that of the JSON. */
  readonly etag: string;
  readonly body: Buffer;
  readonly contentHeaders: readonly HeaderPair[];
}

/** The contract's JSON of candles with its validator in quotes. */
interface CandlesJson {
  readonly body: Buffer;
  readonly etag: string;
}

const formOf = ({ body, etag }: CandlesJson): CsvForm => {
  const { candles, gaps = [], next_since: next } = ohlcv.parse(JSON.parse(body.toString()));
  const gapsHeader = dataGapsHeader(gaps);
  const contentHeaders: HeaderPair[] = [
    ['content-type', CSV_CONTENT_TYPE],
    ...(gapsHeader === null ? [] : [['data-gaps', gapsHeader] as const]),
    ...(next === undefined ? [] : [['data-next-since', String(next)] as const]),
  ];
  return {
    key: 'csv',
    etag: `${etag.slice(0, -1)}-csv"`,
    body: Buffer.from(csvText(candles)),
    contentHeaders,
  };
};

const made = new WeakMap<Buffer, CsvForm>();

export const csvForm = (answer: CandlesJson): CsvForm => {
  const known = made.get(answer.body);
  if (known !== undefined) return known;
  const form = formOf(answer);
  made.set(answer.body, form);
  return form;
};
