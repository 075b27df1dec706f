// The last 24 hours of a ticker over every interface, against the truth of three venues.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tickerStats, type Ticker } from '../../../src/schemas/market.js';
import { tickerEvent } from '../../../src/schemas/stream.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connectWs, openSse } from '../streams/stream-app.js';
import { startSandboxApp, type SandboxApp } from '../../support/sandbox-app.js';

let sandbox: Sandbox;
let server: SandboxApp;
beforeAll(async () => {
  // The venues' clocks stand still too: their 24 hours move on with each minute.
  const at = Date.now();
  sandbox = await startSandbox({ ticksPerSecond: 0, weightLimit: Infinity, now: () => at });
  // Two questions in a row are to see the same entry.
  server = await startSandboxApp(sandbox, { TICKER_CACHE_TTL: '60' });
});
afterAll(async () => {
  await server.app.close();
  await sandbox.close();
});

const ticker = async (query: string): Promise<Ticker> =>
  (await server.app.inject(`/v1/markets/ticker?${query}`)).json<Ticker>();
const requests = (): number =>
  sandbox.control.requestLog().filter(({ path }) => path.includes('ticker')).length;

const BTC = 'exchange=binance&symbol=BTC/USDT';

describe('over REST', () => {
  test('they are the venue’s own, and cost no further request', async () => {
    const plain = await ticker(BTC);
    const asked = requests();
    const { stats, ...rest } = await ticker(`${BTC}&stats=true`);
    expect(rest).toEqual(plain);
    const raw = plain.raw as Readonly<Record<string, string>>;
    expect(stats).toEqual({
      open: Number(raw['openPrice']),
      high: Number(raw['highPrice']),
      low: Number(raw['lowPrice']),
      volume: Number(raw['volume']),
      quote_volume: Number(raw['quoteVolume']),
      change_percent: Number(raw['priceChangePercent']),
    });
    expect(requests()).toBe(asked);
  });

  test('each form has its own validator', async () => {
    const etags = await Promise.all(
      [BTC, `${BTC}&stats=true`].map(
        async (query) => (await server.app.inject(`/v1/markets/ticker?${query}`)).headers.etag,
      ),
    );
    expect(new Set(etags).size).toBe(2);
  });

  test('what the venue does not say is null: Kraken has today’s opening price, not that of 24 hours ago', async () => {
    const { stats } = await ticker('exchange=kraken&symbol=BTC/USD&stats=1');
    expect(stats).toMatchObject({ open: null, change_percent: null });
    expect(stats?.high).toBeGreaterThan(stats?.low ?? Infinity);
    const coinbase = await ticker('exchange=coinbasepro&symbol=BTC/USD&stats=true');
    expect(coinbase).toMatchObject({ exchange: 'coinbasepro', stats: { open: null, high: null } });
    expect(coinbase.stats?.volume).toBeGreaterThan(0);
  });

  test('stats=false is the plain form, anything else is refused', async () => {
    expect(await ticker(`${BTC}&stats=false`)).not.toHaveProperty('stats');
    expect((await server.app.inject(`/v1/markets/ticker?${BTC}&stats=yes`)).statusCode).toBe(400);
  });
});

const tickersOf = (messages: readonly Record<string, unknown>[]) =>
  messages.filter(({ event_type }) => event_type === 'ticker');

test('streams tell them where they are asked for', async () => {
  const path = `/v1/stream/ticker?${BTC}&threshold=0`;
  const [plain, longer] = await Promise.all([
    openSse(server.port, path),
    openSse(server.port, `${path}&stats=true`),
  ]);
  const ws = await connectWs(server.port, `/ws/ticker?${BTC}&stats=true`);
  for (const client of [plain, longer]) await client.until(() => tickersOf(client.events()).length > 0);
  await ws.until((messages) => tickersOf(messages).length > 0);
  const [first] = tickersOf(longer.events());
  expect(tickerEvent.parse(first).stats).toEqual(
    tickerStats.parse((await ticker(`${BTC}&stats=true`)).stats),
  );
  expect(tickersOf(ws.messages)[0]).toHaveProperty('stats.high');
  expect(tickersOf(plain.events())[0]).not.toHaveProperty('stats');
  plain.destroy();
  longer.destroy();
  ws.socket.terminate();
});

test('on /ws a subscription with stats takes the place of one without', async () => {
  const client = await connectWs(server.port, '/ws');
  const params = { channel: 'ticker', exchange: 'kraken', symbol: 'BTC/USD', threshold: 0 };
  client.send({ method: 'subscribe', params });
  await client.until((messages) => tickersOf(messages).length === 1);
  client.send({ method: 'subscribe', params: { ...params, stats: true } });
  client.send({ method: 'list', req_id: 9 });
  await client.until(
    (messages) => tickersOf(messages).length > 1 && messages.some(({ req_id }) => req_id === 9),
  );
  const [first, second] = tickersOf(client.messages);
  expect(first).not.toHaveProperty('stats');
  expect(second).toHaveProperty('stats.low');
  expect(client.messages.find(({ req_id }) => req_id === 9)).toMatchObject({
    subscriptions: [{ ...params, stats: true }],
  });
  client.socket.terminate();
});
