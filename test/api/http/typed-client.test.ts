import type { AddressInfo } from 'node:net';
import createClient from 'openapi-fetch';
import { expect, test } from 'vitest';
import { startTestApp } from '../../support/app.js';
import type { paths } from '../../support/openapi-types.js';

test('a client whose types come from the OpenAPI document reads answers and problems', async () => {
  const { app } = await startTestApp();
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const client = createClient<paths>({ baseUrl: `http://127.0.0.1:${port}` });

  const query = { exchange: 'binance', symbol: 'BTC/USDT' };
  const { data } = await client.GET('/v1/markets/ticker', { params: { query } });
  // Type-checked: these members exist with these types.
  const last: number | null | undefined = data?.last;
  const symbol: string | undefined = data?.symbol;
  expect({ last, symbol }).toEqual({ last: 1, symbol: 'BTC/USDT' });

  const { error } = await client.GET('/v1/markets/trades', { params: { query: { ...query, limit: 0 } } });
  const code: string | undefined = error?.code;
  expect(code).toBe('invalid_request');
  // @ts-expect-error The types know which parameters there are.
  await client.GET('/v1/markets/ticker', { params: { query: { exchange: 'binance', pair: 'BTC/USDT' } } });
  await app.close();
});
