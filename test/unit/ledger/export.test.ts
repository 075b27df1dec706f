import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { expect, test } from 'vitest';
import { csvOf } from '../../../src/ledger/export/csv.js';
import { parquetOf } from '../../../src/ledger/export/parquet.js';
import type { StoredCandle } from '../../../src/ledger/settle.js';
import { candleAt, MINUTE, NAME, T0 } from './candle-data.js';

const pagesOf = (count: number, page = 5_000) =>
  async function* () {
    for (let first = 0; first < count; first += page)
      yield await Promise.resolve(
        Array.from({ length: Math.min(page, count - first) }, (_, index) => candleAt(first + index)),
      );
  };
const planOf = (pages: () => AsyncIterable<readonly StoredCandle[]>) => ({
  ...{ name: NAME, series: null, gaps: [], pages },
  span: { from: T0, to: T0 + 100_000 * MINUTE },
});
const read = async (pieces: AsyncIterable<Uint8Array | string>) => {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return all;
};

test('Parquet comes a row group at a time, and reads as one file', async () => {
  const pieces = await read(parquetOf(planOf(pagesOf(45_000)), 'binance'));
  expect(pieces).toHaveLength(4);
  const file = new Uint8Array(Buffer.concat(pieces)).buffer;
  const { row_groups: groups } = parquetMetadata(file);
  expect(groups.map(({ num_rows: rows }) => Number(rows))).toEqual([20_000, 20_000, 5_000]);
  const rows = await parquetReadObjects({ file });
  expect(rows).toEqual(
    Array.from({ length: 45_000 }, (_, index) => {
      const { timestamp, ...figures } = candleAt(index);
      return { timestamp: new Date(timestamp), ...figures, closed: true };
    }),
  );
}, 20_000);

test('candles that fill their last group, and none at all', async () => {
  expect(await read(parquetOf(planOf(pagesOf(20_000)), 'binance'))).toHaveLength(2);
  const [empty, ...more] = await read(parquetOf(planOf(pagesOf(0)), 'binance'));
  expect(more).toEqual([]);
  expect(await parquetReadObjects({ file: new Uint8Array(empty ?? []).buffer })).toEqual([]);
});

test('CSV: a header, CRLF, and nothing for what the exchange did not give', async () => {
  const text = Buffer.concat(await read(csvOf(pagesOf(2)()))).toString();
  expect(text).toBe(
    'timestamp,open,high,low,close,volume,closed\r\n' +
      `${T0},99.75,101.1,98.7,100,,true\r\n` +
      `${T0 + MINUTE},100.75,102.1,99.7,101,0.1,true\r\n`,
  );
});

test('a page that can not be read rejects in the middle', async () => {
  const broken = async function* () {
    yield* pagesOf(3)();
    throw new Error('gone');
  };
  await expect(read(csvOf(broken()))).rejects.toThrow('gone');
  await expect(read(parquetOf(planOf(broken), 'binance'))).rejects.toThrow('gone');
});
