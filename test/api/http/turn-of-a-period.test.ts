// The period ends while its open candle is on the way, or in the cache: whoever asks for one candle gets one, or is told why not.
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import type { Ohlcv } from '../../../src/schemas/market.js';
import { startSandboxApp } from '../../support/sandbox-app.js';

const MINUTE = 60_000;
/** From the question to the turn of the minute; a busy machine takes less to send it. */
const BEFORE_MS = 10_000;
const MARKET = { exchange: 'binance', symbol: 'ETH/USDT' };

let sandbox: Sandbox;
let app: FastifyInstance;
let mcp: Client;
let offset = Date.UTC(2026, 0, 31, 12) - steadyNow();
/** The minute turns when the venue has made its answer. */
let turnsOnTheWay = false;

const candleRequests = (): number =>
  sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv').length;
const now = (): number => steadyNow() + offset + (turnsOnTheWay && candleRequests() > 0 ? 2 * BEFORE_MS : 0);

/** The start of the minute that is open. */
let open = 0;

beforeAll(async () => {
  sandbox = await startSandbox({ ticksPerSecond: 0, weightLimit: Infinity, now });
  const env = { RATE_LIMIT_REQUESTS: '10000', STALE_IF_ERROR: '300' };
  const here = await startSandboxApp(sandbox, env, { now, monotonic: steadyNow });
  app = here.app;
  mcp = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await mcp.connect(new StreamableHTTPClientTransport(new URL(`${here.url}/mcp`)));
});
afterAll(async () => {
  await mcp.close();
  await app.close();
  await sandbox.close();
});
beforeEach(async () => {
  open = Math.floor(now() / MINUTE) * MINUTE + 10 * MINUTE;
  offset = open + MINUTE - BEFORE_MS - steadyNow();
  // The venue's clock is known by an answer of this moment.
  await app.inject('/v1/markets/orderbook?exchange=binance&symbol=ETH/USDT');
  sandbox.control.resetLog();
});
afterEach(() => {
  turnsOnTheWay = false;
  sandbox.control.clearFaults();
});

type Bounds = Readonly<Record<string, number>>;
type Candles = Pick<Ohlcv['candles'][number], 'timestamp' | 'closed'>[];

const ASKERS: [string, (bounds: Bounds) => Promise<Candles>][] = [
  [
    'REST',
    async (bounds) => {
      const query = new URLSearchParams(MARKET);
      for (const [name, value] of Object.entries(bounds)) query.set(name, String(value));
      return (await app.inject(`/v1/markets/ohlcv?${query.toString()}`)).json<Ohlcv>().candles;
    },
  ],
  [
    'MCP',
    async (bounds) => {
      const result = await mcp.callTool({ name: 'get_ohlcv', arguments: { ...MARKET, ...bounds } });
      return (result.structuredContent as Ohlcv).candles;
    },
  ],
  [
    'GraphQL',
    async (bounds) => {
      const list = Object.entries(bounds).map(([name, value]) => `${name}: ${value}`);
      const query = `{ ohlcv(exchange: "binance", symbol: "ETH/USDT", ${list.join(', ')}) { candles { timestamp closed } } }`;
      const answer = await app.inject({ method: 'POST', url: '/graphql', payload: { query } });
      return answer.json<{ data: { ohlcv: { candles: Candles } } }>().data.ohlcv.candles;
    },
  ],
];

describe.each(ASKERS)('over %s, where the minute ends while the answer is on its way', (_, ask) => {
  test('limit=1 is the latest candle that was closed when the venue was asked, never none', async () => {
    turnsOnTheWay = true;
    expect(await ask({ limit: 1 })).toEqual([
      expect.objectContaining({ timestamp: open - MINUTE, closed: true }),
    ]);
    expect(candleRequests()).toBe(1);
  });

  test('the open candle alone, asked for by its start, is asked for again and then closed', async () => {
    turnsOnTheWay = true;
    expect(await ask({ since: open, limit: 1 })).toEqual([
      expect.objectContaining({ timestamp: open, closed: true }),
    ]);
    expect(candleRequests()).toBe(2);
  });
});

test('a cached open candle is not what stands in for a failing venue once its minute is over', async () => {
  const url = '/v1/markets/ohlcv?exchange=binance&symbol=ETH/USDT&limit=1';
  expect((await app.inject(url)).json<Ohlcv>().candles).toEqual([
    expect.objectContaining({ timestamp: open, closed: false }),
  ]);
  sandbox.control.setFault({ venue: 'binance', fault: { type: 'status', status: 500 } });
  offset += 2 * BEFORE_MS;
  const without = await app.inject(url);
  expect(without.statusCode).toBe(503);
  expect(without.json()).toMatchObject({ code: 'upstream_unavailable', retryable: true });
  sandbox.control.clearFaults();
  offset += 5 * MINUTE;
  expect((await app.inject(url)).json<Ohlcv>().candles).toHaveLength(1);
});

test('with a closed candle beside it, that one stands in', async () => {
  const url = '/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&limit=2';
  await app.inject(url);
  sandbox.control.setFault({ venue: 'binance', fault: { type: 'status', status: 500 } });
  offset += 2 * BEFORE_MS;
  const stale = await app.inject(url);
  expect(stale.headers['x-cache']).toBe('STALE');
  expect(stale.json<Ohlcv>().candles).toEqual([
    expect.objectContaining({ timestamp: open - MINUTE, closed: true }),
  ]);
});
