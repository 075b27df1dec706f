// What issuers may answer, over real sockets.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createIssuerHttp, IssuerFault, type IssuerHttp } from '../../../src/access/oauth/issuer-http.js';

let server: Server;
let http: IssuerHttp;
let url: string;
const asked: { path: string | undefined; request: IncomingMessage; body: string }[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ path: request.url, request, body });
      if (request.url === '/moved') response.writeHead(302, { location: '/json' }).end();
      else if (request.url === '/large') response.end(`"${'x'.repeat(256 * 1024)}"`);
      else if (request.url === '/html') response.end('<html>');
      else if (request.url === '/slow') response.write('{');
      else response.end('{"good":true}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const proxy = { https: '', http: '', no: '' };
  http = createIssuerHttp({ proxy, userAgent: 'test/1', timeoutMs: 500 });
});
afterAll(async () => {
  await http.close();
  server.closeAllConnections();
  server.close();
});

describe('an issuer', () => {
  test('is asked for JSON, and for nothing with a credential of ours', async () => {
    expect(await http.getJson(`${url}/json`)).toEqual({ good: true });
    const { headers } = asked.at(-1)?.request ?? { headers: {} };
    expect(headers).toMatchObject({ accept: 'application/json', 'user-agent': 'test/1' });
    expect(headers).not.toHaveProperty('authorization');
  });

  test('gets a form with Basic credentials', async () => {
    expect(await http.postForm(`${url}/json`, new URLSearchParams({ token: 'a b' }), 'eDp5')).toEqual({
      good: true,
    });
    expect(asked.at(-1)?.body).toBe('token=a+b');
    expect(asked.at(-1)?.request.headers).toMatchObject({
      authorization: 'Basic eDp5',
      'content-type': 'application/x-www-form-urlencoded',
    });
  });

  test.each([
    ['/moved', 'status 302'],
    ['/large', 'the answer is too large'],
    ['/html', 'the answer is no JSON'],
    ['/slow', 'no answer in time'],
  ])('that answers like %s is of no use', async (path, reason) => {
    const fault = await http.getJson(`${url}${path}`).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(IssuerFault);
    expect(fault).toMatchObject({ message: reason });
    if (path === '/moved') expect(asked.at(-1)?.path).toBe('/moved');
  });

  test('that is not there is not reachable', async () => {
    await expect(http.getJson('http://127.0.0.1:1/json')).rejects.toThrow('not reachable');
  });
});
