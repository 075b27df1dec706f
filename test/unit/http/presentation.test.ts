import { describe, expect, test } from 'vitest';
import { candlePresentation, fileStem, JSON_ONLY } from '../../../src/http/answers/presentation.js';

describe('the form of candles by Accept', () => {
  const { formFor } = candlePresentation({ format: undefined, fileStem: null });
  test.each([
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['application/*', 'json'],
    ['application/json, text/csv', 'json'],
    ['text/csv, application/json', 'json'],
    ['text/csv;q=0.5, application/json;q=0.6', 'json'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'json'],
    ['text/csv;q=0, */*', 'json'],
    ['text/csv', 'csv'],
    ['Text/CSV; header=present', 'csv'],
    ['text/*', 'csv'],
    ['text/csv, */*', 'csv'],
    ['text/csv, */*;q=0.1', 'csv'],
    ['text/csv;q=0.6, application/json;q=0.5', 'csv'],
    ['application/json;q=0, */*', 'csv'],
    ['text/html', null],
    ['*/*;q=0', null],
    ['application/json;q=0, text/csv;q=0, */*', null],
  ])('%j: %s', (accept, form) => {
    expect(formFor(accept)).toBe(form);
  });
});

test.each(['json', 'csv'] as const)('format=%s says it all: Accept has nothing to add', (format) => {
  const { formFor, varies } = candlePresentation({ format, fileStem: null });
  for (const accept of [undefined, 'text/csv', 'application/json', 'text/html'])
    expect(formFor(accept)).toBe(format);
  expect(varies).toBe(true);
});

test('what is JSON alone is refused to who takes none, and varies by nothing', () => {
  expect(JSON_ONLY.formFor('text/csv')).toBeNull();
  expect(JSON_ONLY.formFor('text/*, */*;q=0.1')).toBe('json');
  expect([JSON_ONLY.varies, JSON_ONLY.headersOf('json')]).toEqual([false, []]);
});

test('a file is named after what it holds, in letters that every system takes', () => {
  const { headersOf } = candlePresentation({
    format: undefined,
    fileStem: fileStem('okx', 'BTC/USDT:USDT-"26\r\n1225"', '1h'),
  });
  expect(headersOf('csv')).toEqual([
    ['content-disposition', 'attachment; filename="okx-BTC-USDT-USDT-26-1225--1h.csv"'],
  ]);
  expect(headersOf('json')[0]?.[1]).toContain('1h.json"');
});

test('addresses that present the same answer differently have different names', () => {
  const names = [
    candlePresentation({ format: undefined, fileStem: null }),
    candlePresentation({ format: 'csv', fileStem: null }),
    candlePresentation({ format: 'json', fileStem: null }),
    candlePresentation({ format: 'csv', fileStem: 'a' }),
    candlePresentation({ format: 'csv', fileStem: 'b' }),
    JSON_ONLY,
  ].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
