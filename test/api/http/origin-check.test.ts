import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestApp } from '../../support/app.js';

let close: (() => Promise<void>) | undefined;
afterEach(() => close?.());

const listen = async (CORS_ORIGIN: string): Promise<number> => {
  const { app } = await startTestApp({ CORS_ORIGIN });
  close = () => app.close();
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as AddressInfo).port;
};

/** 101, or the status and body of a refusal. */
const upgrade = (port: number, headers: Record<string, string>, path = '/ws') =>
  new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
    socket.once('open', () => {
      socket.terminate();
      resolve({ status: 101, body: '' });
    });
    socket.once('unexpected-response', (_request, response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      void once(response, 'end').then(() => resolve({ status: response.statusCode, body }), reject);
    });
    socket.once('error', reject);
  });

describe('a WebSocket upgrade', () => {
  test.each([
    ['*', 'https://anywhere.example', 101],
    ['https://a.example, https://b.example', 'https://b.example', 101],
    ['https://a.example', 'https://b.example', 403],
    ['https://a.example', 'http://a.example', 403],
    ['https://a.example', 'https://a.example.evil.example', 403],
    ['https://a.example', 'null', 403],
    ['', 'https://a.example', 403],
  ])('with CORS_ORIGIN=%j and a page of %s answers %i', async (setting, origin, status) => {
    const port = await listen(setting);
    expect((await upgrade(port, { origin })).status).toBe(status);
  });

  test.each([
    ['http://{host}', 101],
    // A proxy in front ends TLS and passes Host on.
    ['https://{host}', 101],
    ['http://127.0.0.1', 403],
    ['http://{host}.evil.example', 403],
    ['ftp://{host}', 403],
    ['null', 403],
  ])(
    'of a page of %s is judged by the host that it asked, whatever CORS_ORIGIN says',
    async (page, status) => {
      const port = await listen('');
      const origin = page.replace('{host}', `127.0.0.1:${port}`);
      expect((await upgrade(port, { origin })).status).toBe(status);
    },
  );

  test('of a page without a port in its address passes where the Host names the default port', async () => {
    const port = await listen('');
    const at = (origin: string, host: string) => upgrade(port, { origin, host }).then(({ status }) => status);
    expect(await at('https://prices.example', 'prices.example:443')).toBe(101);
    expect(await at('http://prices.example', 'prices.example:443')).toBe(403);
  });

  test('of a page of another origin is refused as a problem that names the header, on every WebSocket route', async () => {
    const port = await listen('https://a.example');
    for (const path of ['/ws', '/ws/ticker?exchange=binance&symbol=BTC/USDT']) {
      const { status, body } = await upgrade(port, { origin: 'https://b.example' }, path);
      expect(status).toBe(403);
      expect(JSON.parse(body)).toMatchObject({
        code: 'origin_not_allowed',
        detail: 'Pages of this origin may not connect to this server.',
        errors: [{ parameter: 'Origin', reason: expect.stringContaining('CORS_ORIGIN') }],
      });
    }
  });

  test('of a program that is no browser passes, whatever origins are set', async () => {
    expect((await upgrade(await listen(''), {})).status).toBe(101);
  });
});

test('other requests of a foreign page are left to CORS: answered, but not for the page to read', async () => {
  const port = await listen('https://a.example');
  const response = await fetch(`http://127.0.0.1:${port}/v1/exchanges`, {
    headers: { origin: 'https://b.example' },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('access-control-allow-origin')).toBeNull();
});
