// Over a real socket: inject sends a Host of its own.
import net, { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const WEBSOCKET =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

let rig: TestApp;
afterEach(async () => {
  await rig.app.close();
});

const start = async (env: Record<string, string>) => {
  rig = await startTestApp(env);
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
};

/** The answer to one request, as text. */
const ask = async (hostLines: string, path = TICKER, more = ''): Promise<string> => {
  const socket = net.connect((rig.app.server.address() as AddressInfo).port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    if (text.includes('101 Switching') || text.includes('event-stream')) socket.destroy();
  });
  const closing = more === '' ? 'Connection: close\r\n' : more;
  socket.write(`GET ${path} HTTP/1.1\r\n${hostLines}${closing}\r\n`);
  await once(socket, 'close');
  return text;
};
const statusOf = (text: string): string => text.slice(9, 12);

describe('with ALLOWED_HOSTS', () => {
  test.each([
    ['data.example.com', '200'],
    ['DATA.example.com:8080', '200'],
    ['data.example.com.', '200'],
    ['[2001:db8::1]:8000', '200'],
    ['localhost', '200'],
    ['127.0.0.1:8000', '200'],
    ['evil.example', '400'],
    ['data.example.com.evil.example', '400'],
    ['', '400'],
  ])('a request for %j is answered %s, from the cache as well', async (host, status) => {
    await start({ ALLOWED_HOSTS: 'data.example.com, [2001:db8::1]' });
    await ask('Host: localhost\r\n');
    const text = await ask(`Host: ${host}\r\n`);
    expect(statusOf(text)).toBe(status);
    if (status === '400') expect(text).toContain('"parameter":"Host"');
  });

  test.each([
    ['a stream', '/v1/stream/ticker?exchange=binance&symbol=BTC/USDT', ''],
    ['a WebSocket', '/ws', WEBSOCKET],
    ['a WebSocket of one ticker', '/ws/ticker?exchange=binance&symbol=BTC/USDT', WEBSOCKET],
    ['MCP', '/mcp', ''],
    ['metrics', '/metrics', ''],
    ['health', '/v1/health', ''],
    ['the documentation', '/docs', ''],
  ])('%s is refused for a foreign host too', async (_name, path, more) => {
    await start({ ALLOWED_HOSTS: 'data.example.com' });
    expect(statusOf(await ask('Host: evil.example\r\n', path, more))).toBe('400');
  });
});

test.each([
  [{ HOST: '127.0.0.1' }, 'evil.example', '400'],
  [{ HOST: 'localhost' }, 'evil.example', '400'],
  [{ HOST: '::1' }, 'evil.example', '400'],
  [{ HOST: '127.0.0.1', ALLOWED_HOSTS: '*' }, 'evil.example', '200'],
  [{ HOST: '127.0.0.1', CORS_ORIGIN: 'https://a.example' }, 'evil.example', '400'],
  [{ HOST: '127.0.0.9' }, '127.0.0.9', '200'],
  [{ HOST: '0.0.0.0' }, 'anything.example', '200'],
])('with %j a request for %s is answered %s', async (env, host, status) => {
  await start(env);
  expect(statusOf(await ask(`Host: ${host}\r\n`))).toBe(status);
});

test.each([
  ['two that differ', 'Host: localhost\r\nhost: evil.example\r\n'],
  ['two alike', 'Host: localhost\r\nHost: localhost\r\n'],
])('two Host headers are a 400: %s', async (_name, lines) => {
  await start({});
  await ask('Host: localhost\r\n');
  expect(statusOf(await ask(lines))).toBe('400');
});

test('METRICS_PORT takes /metrics off the main port, under the same bounds', async () => {
  await start({ METRICS_PORT: '0', ALLOWED_HOSTS: 'data.example.com' });
  const { metricsApp } = rig.app;
  await metricsApp!.listen({ port: 0, host: '127.0.0.1' });
  const port = (metricsApp!.server.address() as AddressInfo).port;
  expect(statusOf(await ask('Host: localhost\r\n', '/metrics'))).toBe('404');
  await ask('Host: localhost\r\n');
  const scraped = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(scraped.status).toBe(200);
  expect(await scraped.text()).toContain(
    'crypto_data_http_requests_total{method="GET",route="/v1/markets/ticker"',
  );
  expect((await fetch(`http://127.0.0.1:${port}/v1/health`)).status).toBe(404);
  const socket = net.connect(port, '127.0.0.1');
  socket.write('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n');
  socket.resetAndDestroy();
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
});
