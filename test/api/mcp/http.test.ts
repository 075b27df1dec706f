import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { McpRouteOptions } from '../../../src/http/routes/mcp.js';
import { startMcpApp } from './mcp-app.js';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource.close();
});

const start = async (overrides?: Partial<McpRouteOptions>) => {
  const started = await startMcpApp(overrides);
  open.push(started.app);
  return started;
};

const connect = async (url: URL, mode: 'legacy' | 'auto') => {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(url));
  open.push(client);
  return client;
};

const CALLS = [
  ['list_exchanges', {}],
  ['search_markets', { exchange: 'binance', quote: 'USDT' }],
  ['get_ticker', { exchange: 'binance', symbol: 'BTC/USDT' }],
  ['get_ohlcv', { exchange: 'binance', symbol: 'BTC/USDT', interval: '1h', limit: 5 }],
  ['get_orderbook', { exchange: 'binance', symbol: 'BTC/USDT', limit: 5 }],
  ['get_trades', { exchange: 'binance', symbol: 'BTC/USDT' }],
  ['get_candle_coverage', { exchange: 'binance', symbol: 'BTC/USDT' }],
] as const;

describe.each([
  ['auto', '2026-07-28'],
  ['legacy', '2025-11-25'],
] as const)('the official client, negotiating %s', (mode, revision) => {
  test('lists and calls every tool', async () => {
    const { url } = await start();
    const client = await connect(url, mode);
    expect(client.getNegotiatedProtocolVersion()).toBe(revision);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(CALLS.map(([name]) => name));
    for (const [name, args] of CALLS) {
      const result = await client.callTool({ name, arguments: args });
      expect(result.isError, name).toBeFalsy();
      expect(result.structuredContent, name).toHaveProperty('source');
    }
  });

  test('reads every resource', async () => {
    const { url } = await start();
    const client = await connect(url, mode);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates).toHaveLength(4);
    for (const { uriTemplate } of resourceTemplates) {
      const uri = uriTemplate.replace('{exchange}', 'binance').replace('{symbol}', 'BTC-USDT');
      const { contents } = await client.readResource({ uri });
      expect(contents).toHaveLength(1);
    }
  });
});

test("a resource's time to live is what is left of the answer's freshness, 0 when it is stale", async () => {
  const { url, marketData } = await start();
  const client = await connect(url, 'auto');
  const uri = 'market://binance/BTC-USDT/ticker';
  expect(await client.readResource({ uri })).toMatchObject({ ttlMs: 1600, cacheScope: 'public' });
  marketData.answer = { ...marketData.answer, freshUntil: 0 };
  const other = 'market://binance/ETH-USDT/ticker';
  expect(await client.readResource({ uri: other })).toMatchObject({ ttlMs: 0 });
});

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
});
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const post = (url: URL, headers: Record<string, string> = {}, body = INITIALIZE) =>
  fetch(url, { method: 'POST', headers: { ...HEADERS, ...headers }, body });

test('answers programs, and pages of this machine; refuses the pages of others', async () => {
  const { url } = await start();
  expect((await post(url)).status).toBe(200);
  expect((await post(url, { origin: 'http://localhost:3000' })).status).toBe(200);
  for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1.evil.example']) {
    const refused = await post(url, { origin });
    expect(refused.status, origin).toBe(403);
    expect(await refused.json()).toMatchObject({ code: 'origin_not_allowed', status: 403 });
  }
});

test('answers the pages of origins that the settings name, by scheme, host and port', async () => {
  const { url } = await start({ corsOrigins: ['https://app.example.com', 'http://dev.example.com:8080'] });
  for (const origin of ['https://app.example.com', 'http://dev.example.com:8080'])
    expect((await post(url, { origin })).status, origin).toBe(200);
  for (const origin of [
    ...['http://app.example.com', 'https://app.example.com:8081', 'https://other.example.com'],
    ...['http://dev.example.com', 'https://dev.example.com:8080', 'https://app.example.com.evil.example'],
    ...['ftp://localhost', 'http://localhost.evil.example', 'http://localhost/'],
  ])
    expect((await post(url, { origin })).status, origin).toBe(403);
});

test('a preflight lets in what clients of the current revision and polyfills send', async () => {
  const { url } = await start();
  const asked = ['mcp-method', 'mcp-name', 'mcp-protocol-version', 'last-event-id', 'cache-control'];
  const response = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://localhost:6274',
      'access-control-request-method': 'POST',
      'access-control-request-headers': asked.join(', '),
    },
  });
  expect(response.status).toBe(204);
  expect(response.headers.get('access-control-allow-methods')).toBe('OPTIONS, POST');
  const allowed = response.headers.get('access-control-allow-headers')?.toLowerCase().split(', ');
  expect(allowed).toEqual(expect.arrayContaining(asked));
  expect(response.headers.get('access-control-expose-headers')).not.toContain('Mcp-Session-Id');
});

const LIST = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/list' });
const MODERN_LIST = JSON.stringify({
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/list',
  params: {
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
});
const MODERN = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' };

describe.each([
  ['an older revision', LIST, {}],
  ['the current revision', MODERN_LIST, MODERN],
])('a request of %s', (_, body, more: Record<string, string>) => {
  const ask = async (accept: string) => {
    const { url } = await start();
    return fetch(url, { method: 'POST', headers: { ...HEADERS, ...more, accept }, body });
  };

  test.each(['*/*', 'application/json', 'application/*;q=0.9', 'text/html, */*;q=0.1'])(
    'that accepts %s is answered in JSON',
    async (accept) => {
      const response = await ask(accept);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
      expect(await response.json()).toMatchObject({ id: 7, result: { tools: expect.any(Array) } });
    },
  );

  test('that accepts event streams alone is answered in one', async () => {
    const response = await ask('text/event-stream');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const [, data = ''] = /^data: (.*)$/m.exec(await response.text()) ?? [];
    expect(JSON.parse(data)).toMatchObject({ id: 7, result: { tools: expect.any(Array) } });
  });

  test.each(['text/html', 'application/json;q=0', 'application/xml'])(
    'that accepts only %s is refused',
    async (accept) => {
      const response = await ask(accept);
      expect(response.status).toBe(406);
      expect(await response.json()).toMatchObject({ code: 'not_acceptable' });
    },
  );
});

test('a batch for JSON alone is answered with a list', async () => {
  const { url } = await start();
  const batch = [1, 2].map((id) => ({ jsonrpc: '2.0', id, method: 'ping' }));
  const response = await post(url, { accept: 'application/json' }, JSON.stringify(batch));
  const answers = (await response.json()) as { id: number }[];
  expect(answers.map(({ id }) => id).sort()).toEqual([1, 2]);
});

test('a request without an Accept header is answered in JSON', async () => {
  const { url } = await start();
  const asked = httpRequest(url, { method: 'POST', headers: { 'content-type': 'application/json' } });
  asked.end(LIST);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  expect(JSON.parse(await text(response))).toMatchObject({ id: 7, result: { tools: expect.any(Array) } });
});

test('the session calls of older revisions are not allowed', async () => {
  const { url } = await start();
  for (const method of ['GET', 'DELETE', 'HEAD', 'PUT']) {
    const refused = await fetch(url, { method, headers: { accept: 'text/event-stream' } });
    expect(refused.status, method).toBe(405);
    expect(refused.headers.get('allow'), method).toBe('OPTIONS, POST');
  }
});

test('what is not JSON is refused in the words of JSON-RPC', async () => {
  const { url } = await start();
  const broken = await post(url, {}, '{"jsonrpc":');
  expect(broken.status).toBe(400);
  expect(await broken.json()).toMatchObject({ error: { code: -32700 } });
  expect((await post(url, { 'content-type': 'text/plain' })).status).toBe(415);
});

test('a message beyond the bound is refused unread', async () => {
  const { url, marketData } = await start();
  const padded = INITIALIZE.replace('"test"', `"${'x'.repeat(300 * 1024)}"`);
  expect((await post(url, {}, padded)).status).toBe(413);
  expect(marketData.queries).toEqual([]);
});

test('no subscription stream is held open', async () => {
  const { url } = await start();
  const client = await connect(url, 'auto');
  await expect(client.listen({ toolsListChanged: true })).rejects.toThrow(/limit/i);
});

test('a client that leaves ends its upstream call', async () => {
  const { url, marketData } = await start();
  const asked = once(marketData.calls, 'get');
  marketData.gate = new Promise(() => undefined);
  const call = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'get_ticker',
      arguments: { exchange: 'binance', symbol: 'BTC/USDT' },
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  };
  const headers = {
    ...HEADERS,
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'get_ticker',
  };
  const request = httpRequest(url, { method: 'POST', headers });
  request.on('error', () => undefined);
  request.end(JSON.stringify(call));
  await asked;
  const [signal] = marketData.signals;
  if (signal === undefined) throw new Error('no signal was given');
  expect(signal.aborted).toBe(false);
  const aborted = once(signal, 'abort');
  request.destroy();
  await aborted;
  expect(signal.aborted).toBe(true);
});

test('an exchange that fails is a tool error with a retry time, over HTTP as well', async () => {
  const { url, marketData } = await start();
  marketData.fault = new AppError('upstream_rate_limited', 'binance limits us.', { retryAfterMs: 9000 });
  const client = await connect(url, 'auto');
  const result = await client.callTool({
    name: 'get_ticker',
    arguments: { exchange: 'binance', symbol: 'BTC/USDT' },
  });
  expect(result).toMatchObject({
    isError: true,
    _meta: { 'mcp-crypto-data-server/error': { code: 'upstream_rate_limited', retry_after_ms: 9000 } },
  });
});

describe('"arguments": null', () => {
  const call = (id: number, params: object) => ({ jsonrpc: '2.0', id, method: 'tools/call', params });
  const LIST = { name: 'list_exchanges', arguments: null };
  const post = async (body: string) => {
    const { url } = await start();
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body });
    return await response.json();
  };

  test('is none to a tool that needs none', async () => {
    expect(await post(JSON.stringify(call(1, LIST)))).toMatchObject({
      id: 1,
      result: { structuredContent: { exchanges: expect.any(Array) as unknown } },
    });
  });

  test('is none in each call of a batch', async () => {
    const answers = await post(JSON.stringify([call(1, LIST), call(2, { name: 'list_exchanges' })]));
    expect(answers).toMatchObject([
      { id: 1, result: { structuredContent: {} } },
      { id: 2, result: { structuredContent: {} } },
    ]);
  });

  test('is told what is missing by a tool that needs some', async () => {
    expect(await post(JSON.stringify(call(1, { name: 'get_ticker', arguments: null })))).toMatchObject({
      result: {
        isError: true,
        content: [{ text: expect.stringContaining('exchange is required') as unknown }],
      },
    });
  });

  test('changes nothing in what is no call, or no JSON', async () => {
    expect(await post(JSON.stringify(call(1, { name: '"arguments":null', arguments: {} })))).toMatchObject({
      error: { code: -32602 },
    });
    expect(await post('{"arguments": null')).toMatchObject({ error: { code: -32700 } });
    expect(await post('{"arguments": null}')).toMatchObject({ error: { code: -32600 } });
  });
});
