import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { AppError } from '../../src/errors.js';
import { readInput } from '../../src/invalid-input.js';
import { ohlcvQuery, tickerQuery } from '../../src/schemas/query.js';
import { clientMessage } from '../../src/schemas/stream-protocol.js';

const refusal = (schema: z.ZodType, input: unknown): AppError => {
  try {
    readInput(schema, input, 'message');
  } catch (thrown) {
    return AppError.from(thrown);
  }
  throw new Error('was taken');
};
const faults = (schema: z.ZodType, input: unknown) =>
  refusal(schema, input).errors?.map(({ parameter, reason }) => `${parameter} ${reason}`);

describe('what is wrong is said in words that name what would be right:', () => {
  const subscribe = (params: object) => ({ method: 'subscribe', params });
  const ticker = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' };

  test.each([
    [{}, 'method must be one of subscribe, unsubscribe, ping, list, auth'],
    [{ method: 'subscrib' }, 'method must be one of subscribe, unsubscribe, ping, list, auth'],
    [[], 'message must be an object'],
    [subscribe({}), 'params.channel must be one of ticker, trades, orderbook, ohlcv, health'],
    [
      subscribe({ ...ticker, timeframe: '1h' }),
      'params.timeframe is not a parameter here; there are channel, exchange, symbol, threshold, stats, since',
    ],
    [subscribe({ ...ticker, threshold: 'x' }), 'params.threshold must be a number'],
    [subscribe({ ...ticker, threshold: 2 }), 'params.threshold must be at most 1'],
    [
      subscribe({ ...ticker, symbol: 5 }),
      'params.symbol must be a symbol such as BTC/USDT, or a list of 1 to 200 of them',
    ],
    [subscribe({ ...ticker, exchange: 5 }), 'params.exchange must be text'],
    [subscribe({ ...ticker, exchange: undefined }), 'params.exchange is required, for example binance'],
    [{ ...subscribe(ticker), req_id: {} }, 'req_id must be a whole number or text of at most 64 characters'],
    [{ method: 'ping', now: true }, 'now is not a parameter here; there are method, req_id'],
  ])('the message %j', (message, fault) => {
    expect(faults(clientMessage, message)).toEqual([fault]);
  });

  test.each([
    [tickerQuery, { exchange: 'binance' }, 'symbol is required, for example BTC/USDT'],
    [tickerQuery, { exchange: 'binance', symbol: ['A/B', 'C/D'] }, 'symbol must be given once'],
    [
      ohlcvQuery,
      { exchange: 'binance', symbol: 'A/B', limit: '1', interval: ['1m', '1h'] },
      'interval must be given once',
    ],
  ])('the query %#', (schema, query, fault) => {
    expect(faults(schema, query)).toEqual([fault]);
  });

  test('nothing of it is in the words of the library that checks', () => {
    const inputs = [
      null,
      5,
      [],
      {},
      { method: 5 },
      subscribe({ channel: 5 }),
      subscribe({ ...ticker, symbol: [] }),
    ];
    for (const input of inputs)
      expect(JSON.stringify(faults(clientMessage, input))).not.toMatch(/Invalid|expected|Unrecognized|Too /);
  });
});

test.each([
  [z.literal('on'), 'off', 'must be on'],
  [z.literal('on'), undefined, 'is required, must be on'],
  [z.date(), 'today', 'is not valid'],
  [z.array(z.string()), 'one', 'must be a list'],
  [z.object({}), [], 'must be an object'],
  [z.record(z.string(), z.number()), 'none', 'must be an object'],
  [z.boolean(), 1, 'must be true or false'],
  [z.int(), 1.5, 'must be a whole number'],
  [z.union([z.string(), z.number()]), true, 'is not valid'],
  [z.string().min(3), 'ab', 'must be at least 3 characters'],
  [z.string().min(1), '', 'must not be empty'],
  [z.array(z.string()).min(1), [], 'must be at least 1 entries'],
  [z.array(z.string()).max(1), ['a', 'b'], 'must be at most 1 entries'],
  [z.string().max(1), 'ab', 'must be at most 1 characters'],
  [z.number().min(3), 1, 'must be at least 3'],
  [z.string().regex(/^a/), 'b', 'is not valid'],
  [z.string('must be a word'), 5, 'must be a word'],
])('where a schema has no words of its own (%#): %j %s', (schema, input, fault) => {
  expect(faults(z.object({ it: schema }), { it: input })).toEqual([`it ${fault}`]);
});

test('an object without parameters says so', () => {
  expect(faults(z.strictObject({}), { a: 1 })).toEqual(['a is not a parameter here; there are none']);
});

test('faults are bounded in number and length, and the message names them all', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${i}`.padEnd(1000, 'x'), 1]));
  const { errors = [], message } = refusal(z.strictObject({ a: z.string().optional() }), many);
  expect(errors).toHaveLength(16);
  expect(errors[0]?.parameter.length).toBeLessThan(50);
  expect(message.length).toBeLessThanOrEqual(500);
  expect(refusal(tickerQuery, { symbol: ' ' }).message).toEqual(
    expect.stringMatching(/^exchange is required, for example binance; symbol must not be empty.*\.$/),
  );
});

test('input that is right comes back as the schema reads it', () => {
  expect(readInput(ohlcvQuery, { exchange: 'BINANCE', symbol: 'BTC/USDT' }, 'query')).toMatchObject({
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1m',
  });
});
