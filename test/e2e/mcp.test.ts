/** The built server in its sandbox, spoken to by the official client as desktop clients and remote ones do. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, afterEach, describe, expect, test } from 'vitest';

const SERVER = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const ENV = {
  PATH: process.env['PATH'] ?? '',
  SANDBOX: 'true',
  REDIS_ENABLED: 'false',
  APP_ENV: 'production',
  HOST: '127.0.0.1',
  PORT: '0',
  OVERLOAD_DELAY: '0',
  // Where no home is named no candles are kept; those of a sandbox go to a temporary folder.
  HOME: tmpdir(),
};
const MODES = ['auto', 'legacy'] as const;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const connectStdio = async (mode: (typeof MODES)[number]) => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [SERVER, '--stdio'],
    env: ENV,
    stderr: 'pipe',
  });
  let log = '';
  transport.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const client = new Client({ name: 'e2e', version: '1.0.0' }, { versionNegotiation: { mode } });
  // Whatever else came on standard output would be reported here.
  const faults: Error[] = [];
  client.onerror = (error) => faults.push(error);
  await client.connect(transport);
  closers.push(() => client.close());
  return { client, faults, log: () => log };
};

const listeningUrl = async (child: ChildProcess): Promise<string> => {
  for await (const line of createInterface({ input: child.stdout! })) {
    const [, address] = /"address":"(http:[^"]+)"/.exec(line) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error('The server ended before it listened.');
};

/** Both forms of the protocol ask the same server. */
let overHttp: { readonly child: ChildProcess; readonly url: Promise<string> } | undefined;
afterAll(async () => {
  if (overHttp?.child.exitCode !== null) return;
  overHttp.child.kill('SIGTERM');
  await once(overHttp.child, 'exit');
});
const startHttp = () => {
  const child = spawn(process.execPath, [SERVER], { env: ENV, stdio: ['ignore', 'pipe', 'inherit'] });
  const url = listeningUrl(child);
  void url.then(
    () => child.stdout.resume(),
    () => undefined,
  );
  return { child, url };
};

const connectHttp = async (mode: (typeof MODES)[number]) => {
  overHttp ??= startHttp();
  const client = new Client({ name: 'e2e', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', await overHttp.url)));
  closers.push(() => client.close());
  return { client };
};

const BTC = { exchange: 'binance', symbol: 'BTC/USDT' };
const CALLS: readonly (readonly [name: string, args: Record<string, unknown>, rows: string])[] = [
  ['list_exchanges', {}, 'exchanges.2.id'],
  ['search_markets', { exchange: 'kraken', base: 'BTC' }, 'markets.0.symbol'],
  ['get_ticker', BTC, 'last'],
  ['get_ohlcv', { ...BTC, interval: '1h', limit: 3 }, 'candles.2.closed'],
  ['get_orderbook', { ...BTC, limit: 5 }, 'asks.4.price'],
  ['get_trades', { exchange: 'coinbasepro', symbol: 'BTC-USD', limit: 5 }, 'trades.4.price'],
  ['get_candle_coverage', { ...BTC, interval: '1h' }, 'ranges.0.state'],
];

const useAll = async (client: Client) => {
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(CALLS.map(([name]) => name));
  for (const [name, args, row] of CALLS) {
    const result = await client.callTool({ name, arguments: args });
    expect(result.isError, JSON.stringify(result)).toBeFalsy();
    expect(result.structuredContent, name).toMatchObject({ sandbox: true });
    expect(result.structuredContent, name).toHaveProperty(row);
  }
  const { resourceTemplates } = await client.listResourceTemplates();
  expect(resourceTemplates).toHaveLength(4);
  for (const { uriTemplate } of resourceTemplates) {
    const uri = uriTemplate.replace('{exchange}', 'binance').replace('{symbol}', 'BTC%2FUSDT');
    const [content] = (await client.readResource({ uri })).contents;
    expect(content).toMatchObject({ uri, text: expect.stringContaining('"sandbox":true') });
  }
  const unknown = await client.callTool({
    name: 'get_ticker',
    arguments: { exchange: 'binance', symbol: 'BTC/NOPE' },
  });
  expect(unknown).toMatchObject({
    isError: true,
    _meta: { 'mcp-crypto-data-server/error': { code: 'symbol_not_found' } },
  });
};

describe.each(MODES)('the official client, negotiating %s', (mode) => {
  test('uses every tool and resource over HTTP', async () => {
    const { client } = await connectHttp(mode);
    await useAll(client);
  });

  test('uses every tool and resource over stdio, with nothing but the protocol on standard output', async () => {
    const { client, faults, log } = await connectStdio(mode);
    await useAll(client);
    expect(faults).toEqual([]);
    // Logs are on standard error, one JSON line each.
    for (const line of log()
      .split('\n')
      .filter((text) => text !== ''))
      expect(() => JSON.parse(line) as unknown, line).not.toThrow();
  });
});

test('over stdio the server ends by itself, with code 0, when its client has gone', async () => {
  const child = spawn(process.execPath, [SERVER, '--stdio'], {
    env: ENV,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  closers.push(async () => {
    if (child.exitCode === null) child.kill('SIGKILL');
    await Promise.resolve();
  });
  child.stdin.end();
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
});

test('over stdio settings that cannot be used end the server with code 78 and a message on standard error', async () => {
  const child = spawn(process.execPath, [SERVER, '--stdio'], {
    env: { ...ENV, PORT: 'many' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let out = '';
  let words = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).toBe(78);
  expect(out).toBe('');
  expect(words).toContain('PORT');
});
