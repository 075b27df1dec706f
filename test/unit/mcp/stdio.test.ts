import { PassThrough } from 'node:stream';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { serveStdio } from '../../../src/mcp/stdio.js';
import { silentLog, type Log } from '../../../src/log/log.js';
import { FakeMarketData, NOW } from './fake-market-data.js';

const start = (log: Log = silentLog) => {
  const stdin = new PassThrough();
  const stdout = new PassThrough().setEncoding('utf8');
  const server = serveStdio({
    marketData: new FakeMarketData(),
    ledger: null,
    sandbox: false,
    version: '1.0.0',
    now: () => NOW,
    log,
    stdin,
    stdout,
  });
  return { stdin, stdout, server };
};

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

test('answers an older client line by line', async () => {
  const { stdin, stdout, server } = start();
  stdin.write(`${JSON.stringify(INITIALIZE)}\n`);
  const [line] = (await once(stdout, 'data')) as [string];
  expect(JSON.parse(line)).toMatchObject({
    id: 1,
    result: { protocolVersion: '2025-06-18', serverInfo: { name: 'mcp-crypto-data-server' } },
  });
  await server.close();
  await server.closed;
});

test('takes null arguments of a call for none', async () => {
  const { stdin, stdout, server } = start();
  stdin.write(`${JSON.stringify(INITIALIZE)}\n`);
  await once(stdout, 'data');
  const params = { name: 'list_exchanges', arguments: null };
  stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params })}\n`);
  const [line] = (await once(stdout, 'data')) as [string];
  expect(JSON.parse(line)).toMatchObject({
    id: 2,
    result: { structuredContent: { exchanges: expect.any(Array) as unknown } },
  });
  await server.close();
});

test('ends when the client closes its end', async () => {
  const { stdin, server } = start();
  stdin.end();
  await expect(server.closed).resolves.toBeUndefined();
  await server.close();
});

test('ends, and says why on the log, when a message is beyond all bounds', async () => {
  const warnings: string[] = [];
  const { stdin, server } = start({ ...silentLog, warn: (_details, message) => warnings.push(message) });
  stdin.write('x'.repeat(2 * 1024 * 1024));
  await server.closed;
  expect(warnings).toEqual(['MCP over stdio: a message could not be served']);
});
