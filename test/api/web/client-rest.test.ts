import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createClient, ProblemError, type Client } from '../../../web/client/client.js';
import { startTestApp } from '../../support/app.js';

const MARKET = { exchange: 'binance', symbol: 'BTC/USDT' };
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const clientOf = (port: number, apiKey?: string): Client => {
  const client = createClient({ url: `http://127.0.0.1:${port}`, apiKey });
  ends.push(() => client.close());
  return client;
};
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

test('the answers of the server come as they are, for every call', async () => {
  const { app } = await startTestApp();
  ends.push(() => app.close());
  await app.listen({ port: 0, host: '127.0.0.1' });
  const client = clientOf(portOf(app.server));
  const body = async (url: string): Promise<unknown> => (await app.inject(url)).json();
  const query = 'exchange=binance&symbol=BTC/USDT';
  expect(await client.exchanges()).toEqual(await body('/v1/exchanges'));
  expect(await client.markets({ exchange: 'binance', limit: 1 })).toEqual(
    await body('/v1/markets?exchange=binance&limit=1'),
  );
  expect(await client.ticker(MARKET)).toEqual(await body(`/v1/markets/ticker?${query}`));
  expect(await client.ohlcv({ ...MARKET, interval: '1m', limit: 5 })).toEqual(
    await body(`/v1/markets/ohlcv?${query}&interval=1m&limit=5`),
  );
  expect(await client.orderBook({ ...MARKET, limit: 5 })).toEqual(
    await body(`/v1/markets/orderbook?${query}&limit=5`),
  );
  expect(await client.trades({ ...MARKET, limit: 5 })).toEqual(
    await body(`/v1/markets/trades?${query}&limit=5`),
  );
  expect(await client.status()).toMatchObject({ version: expect.any(String), exchanges: expect.any(Array) });
});

test('a problem is thrown with what to do about it', async () => {
  const { app } = await startTestApp();
  ends.push(() => app.close());
  await app.listen({ port: 0, host: '127.0.0.1' });
  const error: unknown = await clientOf(portOf(app.server))
    .trades({ ...MARKET, limit: 0 })
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ProblemError);
  expect(error).toMatchObject({ code: 'invalid_request', status: 400, retryable: false, retryAfterMs: null });
  expect((error as ProblemError).requestId).toMatch(/./);
});

describe('a server that fails', () => {
  const listen = async (listener: RequestListener): Promise<number> => {
    const server = createServer(listener).listen(0, '127.0.0.1');
    ends.push(() => server.close());
    await once(server, 'listening');
    return portOf(server);
  };
  const problem = (more: object) =>
    JSON.stringify({
      code: 'overloaded',
      detail: 'Full.',
      status: 503,
      retryable: true,
      request_id: 'r',
      ...more,
    });

  test('is asked again, with the key each time, until it answers', async () => {
    const keys: unknown[] = [];
    const port = await listen((request, response) => {
      keys.push(request.headers['x-api-key']);
      if (keys.length < 3) response.writeHead(503).end(problem({ retry_after_ms: 20 }));
      else response.end('{"exchanges":[]}');
    });
    expect(await clientOf(port, 'key').exchanges()).toEqual({ exchanges: [] });
    expect(keys).toEqual(['key', 'key', 'key']);
  });

  test.each([
    {
      what: 'asks for more time than a call should take',
      answer: [503, problem({ retry_after_ms: 60_000 })] as const,
      told: { asked: 1, code: 'overloaded' },
    },
    {
      what: 'refuses for good',
      answer: [403, problem({ retryable: false, code: 'forbidden' })] as const,
      told: { asked: 1, code: 'forbidden' },
    },
    { what: 'stays broken', answer: [502, 'no JSON'] as const, told: { asked: 3, code: 'http_502' } },
  ])('that $what is given up', async ({ answer: [status, body], told: { asked, code } }) => {
    let requests = 0;
    const port = await listen((_request, response) => {
      requests += 1;
      response.writeHead(status).end(body);
    });
    await expect(clientOf(port).exchanges()).rejects.toMatchObject({ code, status });
    expect(requests).toBe(asked);
  });

  test('that is not there is a network error; the end of the client ends its waits', async () => {
    const client = createClient({ url: 'http://127.0.0.1:1' });
    const asked = client.exchanges();
    client.close();
    await expect(asked).rejects.toMatchObject({ code: 'network_error', status: 0, retryable: true });
  });
});
