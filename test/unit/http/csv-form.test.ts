import { expect, test } from 'vitest';
import { csvForm } from '../../../src/http/answers/csv-form.js';
import { dataGapsHeader } from '../../../src/http/answers/data-gaps.js';

const candle = { timestamp: 1, open: 1e-7, high: 1e21, low: 0, close: 123.456, volume: null, closed: true };
const jsonOf = (members: object) => ({
  body: Buffer.from(
    JSON.stringify({ exchange: 'x', symbol: 'A/B', interval: '1m', candles: [], ...members }),
  ),
  etag: '"e"',
});

test('null is empty, 0 is not, and numbers are those of JSON', () => {
  const { body } = csvForm(
    jsonOf({ candles: [candle, { ...candle, timestamp: 2, open: null, closed: false }] }),
  );
  expect(body.toString()).toBe(
    'timestamp,open,high,low,close,volume,closed\r\n' +
      '1,1e-7,1e+21,0,123.456,,true\r\n2,,1e+21,0,123.456,,false\r\n',
  );
});

test('no candles are the names of the columns', () => {
  const form = csvForm(jsonOf({}));
  expect(form.body.toString()).toBe('timestamp,open,high,low,close,volume,closed\r\n');
  expect(form.contentHeaders).toEqual([['content-type', 'text/csv; charset=utf-8; header=present']]);
  expect(form.etag).toBe('"e-csv"');
});

test('it is made once for an answer', () => {
  const answer = jsonOf({ candles: [candle] });
  expect(csvForm(answer)).toBe(csvForm(answer));
});

test('gaps are joined by commas and cut after 2 kB', () => {
  const gaps = Array.from({ length: 100 }, (_, index) => ({
    from: 1_700_000_000_000 + index * 120_000,
    to: 1_700_000_060_000 + index * 120_000,
    reason: 'no_trades' as const,
  }));
  expect(dataGapsHeader([])).toBeNull();
  expect(dataGapsHeader(gaps.slice(0, 2))).toBe(
    '1700000000000-1700000060000;no_trades, 1700000120000-1700000180000;no_trades',
  );
  const cut = dataGapsHeader(gaps) ?? '';
  expect(cut).toMatch(/;no_trades;truncated$/);
  expect(cut.length).toBeLessThan(2_011);
  expect(csvForm(jsonOf({ gaps })).contentHeaders).toContainEqual(['data-gaps', cut]);
});
