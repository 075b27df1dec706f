// Models, gateways and function-calling interfaces as they are: what they send, and what they refuse.
import { describe, expect, test } from 'vitest';
import { recordingLog } from '../../support/recording-log.js';
import { connect, textOf } from './client.js';

const BTC = { exchange: 'binance', symbol: 'BTC/USDT' };
type Args = Record<string, unknown>;

describe('what models send is taken as it is meant:', () => {
  test.each<[string, Args, object]>([
    ['get_ohlcv', { ...BTC, limit: '3' }, { limit: 3 }],
    ['get_ohlcv', { ...BTC, limit: 3.0, since: '1698999000000' }, { limit: 3, since: 1_698_999_000_000 }],
    ['get_ohlcv', { ...BTC, interval: null, since: null, limit: null }, { interval: '1m', limit: 100 }],
    ['get_orderbook', { ...BTC, limit: '7' }, { limit: 7 }],
    ['get_trades', { ...BTC, limit: null }, { limit: 100 }],
    ['get_ticker', { ...BTC, convert: null, raw: null }, { kind: 'ticker' }],
    ['get_ticker', { ...BTC, reasoning: 'the user asked', session_id: 7 }, { kind: 'ticker' }],
  ])('%s %j', async (name, args, asked) => {
    const { client, marketData } = await connect();
    const result = await client.callTool({ name, arguments: args });
    expect(result.isError, textOf(result)).toBeFalsy();
    expect(marketData.queries).toEqual([expect.objectContaining(asked)]);
  });

  test.each([
    [true, true],
    ['true', true],
    ['TRUE', true],
    ['false', false],
    [null, false],
  ])('raw: %j', async (raw, given) => {
    const { client } = await connect();
    const { structuredContent } = await client.callTool({ name: 'get_ticker', arguments: { ...BTC, raw } });
    expect(Object.hasOwn(Object(structuredContent), 'raw')).toBe(given);
  });

  test('search_markets with every optional argument null', async () => {
    const { client, marketData } = await connect();
    const args = { exchange: 'binance', base: null, quote: null, search: null, limit: null, cursor: null };
    expect((await client.callTool({ name: 'search_markets', arguments: args })).isError).toBeFalsy();
    expect(marketData.filters).toEqual([{ exchange: 'binance', limit: 100 }]);
  });

  test('list_exchanges with arguments that mean nothing to it', async () => {
    const { client } = await connect();
    const result = await client.callTool({
      name: 'list_exchanges',
      arguments: { query: 'all', dummy: null },
    });
    expect(result.isError).toBeFalsy();
    expect(textOf(result)).toContain('Ignored, not an argument of this tool: query, dummy. There are: none.');
  });

  test('what was ignored is named, with the arguments that there are', async () => {
    const { client } = await connect();
    const result = await client.callTool({ name: 'get_ohlcv', arguments: { ...BTC, timeframe: '1h' } });
    expect(textOf(result)).toContain(
      'Ignored, not an argument of this tool: timeframe. There are: exchange,',
    );
  });

  test.each<[Args, string]>([
    [{ ...BTC, limit: '3.5' }, 'limit must be a whole number from 1 to 2000'],
    [{ ...BTC, limit: 'abc' }, 'limit must be a whole number from 1 to 2000'],
    [{ ...BTC, limit: '' }, 'limit must be a whole number from 1 to 2000'],
    [{ ...BTC, limit: 1e21 }, 'limit must be a whole number from 1 to 2000'],
    [{ ...BTC, limit: 5000 }, 'limit must be at most 2000'],
    [{ ...BTC, limit: [3] }, 'limit must be given once'],
    [{ ...BTC, interval: { a: 1 } }, 'interval must be text'],
    [{ exchange: 'binance', symbol: null }, 'symbol is required, for example BTC/USDT'],
    [{ ...BTC, constructor: 1, limit: 0 }, 'limit must be at least 1'],
  ])('%j is refused in the words of HTTP', async (args, words) => {
    const { client, marketData } = await connect();
    const result = await client.callTool({ name: 'get_ohlcv', arguments: args });
    expect(result.isError).toBe(true);
    expect(textOf(result)).toContain(words);
    expect(marketData.queries).toEqual([]);
  });
});

describe('the tools as they are listed', () => {
  const schemasIn = (schema: unknown): Args[] =>
    typeof schema !== 'object' || schema === null
      ? []
      : [...(Array.isArray(schema) ? [] : [schema as Args]), ...Object.values(schema).flatMap(schemasIn)];

  test('hold no regular expression, no reference and no word beyond plain JSON Schema', async () => {
    const { client } = await connect();
    const { tools } = await client.listTools();
    for (const { inputSchema, outputSchema } of tools)
      for (const schema of [...schemasIn(inputSchema), ...schemasIn(outputSchema)])
        for (const word of [
          'pattern',
          'format',
          '$ref',
          '$defs',
          'example',
          'x-default',
          'oneOf',
          'allOf',
          'id',
        ])
          expect(typeof schema[word] === 'object' ? 'a property of that name' : schema[word], word).toBeOneOf(
            [undefined, 'a property of that name'],
          );
  });

  test('are objects whose properties say their type, as function calling asks for', async () => {
    const { client } = await connect();
    const { tools } = await client.listTools();
    for (const { name, inputSchema } of tools) {
      expect(inputSchema.type, name).toBe('object');
      expect(inputSchema.properties, name).toBeTypeOf('object');
      for (const word of ['anyOf', 'oneOf', 'allOf', 'enum', 'not', 'if'])
        expect(inputSchema).not.toHaveProperty(word);
      for (const [property, schema] of Object.entries(inputSchema.properties ?? {})) {
        // An instant is a number or a text; JSON Schema, Python's validators and OpenAI take a list of types.
        const isInstant = ['since', 'until', 'from', 'to'].includes(property);
        expect((schema as Args)['type'], `${name} ${property}`).toEqual(
          isInstant ? ['integer', 'string'] : expect.stringMatching(/^(string|integer|boolean)$/),
        );
        expect((schema as Args)['enum']).toBeUndefined();
      }
    }
  });

  test('say what a long answer costs', async () => {
    const { client } = await connect();
    const { tools } = await client.listTools();
    const limited = tools.filter(({ inputSchema }) => inputSchema.properties?.['limit'] !== undefined);
    expect(limited).toHaveLength(4);
    for (const { inputSchema } of limited)
      expect(inputSchema.properties?.['limit']).toMatchObject({
        description: expect.stringContaining('tokens'),
      });
  });
});

describe('the longest answers stay under 100 kB in all, and say how to get the rest:', () => {
  const ask = async (name: string, args: Args) => {
    const { client, marketData } = await connect();
    marketData.rows = 5_000;
    const result = await client.callTool({ name, arguments: { ...args } });
    expect(result.isError, textOf(result)).toBeFalsy();
    expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(100_000);
    const structured = result.structuredContent ?? {};
    expect(Buffer.byteLength(textOf(result))).toBeLessThan(JSON.stringify(structured).length / 2);
    return { client, structured, text: textOf(result) };
  };
  const lengthOf = (structured: object, member: string): number => {
    const rows: unknown = Reflect.get(structured, member);
    return Array.isArray(rows) ? rows.length : -1;
  };

  test('2000 candles, by next_since, which leads through all of them without a hole', async () => {
    const { structured, text } = await ask('get_ohlcv', { ...BTC, limit: 2000 });
    const rows = Reflect.get(structured, 'candles') as { timestamp: number }[];
    expect(rows.length).toBeGreaterThan(400);
    expect(rows.length).toBeLessThan(2000);
    const next: unknown = Reflect.get(structured, 'next_since');
    expect(next).toBe((rows.at(-1)?.timestamp ?? 0) + 60_000);
    expect(text).toContain(`since=${new Date(Number(next)).toISOString()}`);
  });

  test('1000 markets, by a cursor', async () => {
    const { structured, text } = await ask('search_markets', { exchange: 'binance', limit: 1000 });
    expect(lengthOf(structured, 'markets')).toBeLessThan(1000);
    expect(Reflect.get(structured, 'next_cursor')).toBeTypeOf('string');
    expect(text).toContain('More: ask again with cursor');
  });

  test('1000 levels a side', async () => {
    const { structured } = await ask('get_orderbook', { ...BTC, limit: 1000 });
    expect(lengthOf(structured, 'bids')).toBe(lengthOf(structured, 'asks'));
  });

  test('1000 trades, the newest of them', async () => {
    const { structured, text } = await ask('get_trades', { ...BTC, limit: 1000 });
    const trades = Reflect.get(structured, 'trades') as { trade_id: string }[];
    expect(trades.at(-1)?.trade_id).toBe('7');
    expect(text).toContain('the newest');
  });
});

describe('calls are counted by tool and outcome, and a bug leaves a trace:', () => {
  test('its line in the log has the id that the client is told', async () => {
    const log = recordingLog();
    const calls: string[] = [];
    const { client, marketData } = await connect({ log, onCall: (...call) => calls.push(call.join(' ')) });
    await client.callTool({ name: 'get_ticker', arguments: BTC });
    await client.callTool({ name: 'get_ticker', arguments: {} });
    marketData.fault = new TypeError('x is undefined');
    const bug = await client.callTool({ name: 'get_trades', arguments: BTC });
    await client.readResource({ uri: 'market://binance/BTC-USDT/ohlcv' }).catch(() => undefined);
    expect(calls).toEqual([
      'get_ticker ok',
      'get_ticker invalid_request',
      'get_trades internal_error',
      'get_ohlcv internal_error',
    ]);
    const lines = log.lines.filter(({ message }) => message === 'internal error');
    expect(lines).toHaveLength(2);
    expect(lines[0]?.details).toMatchObject({ tool: 'get_trades', err: marketData.fault });
    expect(bug._meta?.['mcp-crypto-data-server/error']).toMatchObject({
      code: 'internal_error',
      request_id: Reflect.get(lines[0]?.details ?? {}, 'request_id'),
    });
  });
});
