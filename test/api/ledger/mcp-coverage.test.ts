// The coverage of a series over MCP and over HTTP: the official client, the real CCXT, a real SQLite file.
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LedgerRig, MINUTE, series } from './ledger-app.js';

let rig: LedgerRig;
beforeAll(async () => {
  rig = await LedgerRig.start();
});
afterAll(() => rig.close());

test('MCP tells what HTTP tells of it, in the words of the tool, without asking the exchange', async () => {
  const app = await rig.app();
  const since = rig.now() - 120 * MINUTE;
  const of = series('binance', 'BTC/USDT');
  await app.inject(`/v1/markets/ohlcv?${of}&since=${since - (since % MINUTE)}&limit=30`);
  const from = since - (since % MINUTE) - 10 * MINUTE;
  const answer = await app.inject(`/v1/markets/ohlcv/coverage?${of}&from=${from}&to=${from + 60 * MINUTE}`);
  rig.sandbox.control.resetLog();
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const { port } = app.server.address() as AddressInfo;
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)));
  const told = await client.callTool({
    name: 'get_candle_coverage',
    arguments: { exchange: 'binance', symbol: 'btc-usdt', from, to: from + 60 * MINUTE },
  });
  await client.close();
  expect(told.structuredContent).toMatchObject({
    ...answer.json<Record<string, unknown>>(),
    source: 'sandbox; via=store',
    sandbox: true,
  });
  expect(answer.json<{ ranges: { state: string }[] }>().ranges.map(({ state }) => state)).toEqual([
    'unknown',
    'known',
    'unknown',
  ]);
  expect(rig.candleRequests()).toBe(0);
});
