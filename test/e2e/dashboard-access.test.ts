/** The page of a server that asks for keys and takes no foreign page, behind a proxy that puts a path in front of it. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as ask, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/chromium.js';
import { openPage, WAIT } from './dashboard-rig.js';
import { startServer } from './streams-rig.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PREFIX = '/x/y';

/** As nginx with `location /x/y/ { proxy_pass <server>/; }` that passes Host and upgrades on. */
const startProxy = (target: string): Server => {
  const forward = (incoming: IncomingMessage) =>
    ask(`${target}${(incoming.url ?? '').slice(PREFIX.length)}`, {
      method: incoming.method,
      headers: incoming.headers,
    });
  const proxy = createServer((incoming, outgoing) => {
    urls.push(incoming.url ?? '');
    const upstream = forward(incoming);
    upstream.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(upstream);
  });
  proxy.on('upgrade', (incoming, socket) => {
    urls.push(incoming.url ?? '');
    const upstream = forward(incoming);
    upstream.on('upgrade', ({ statusCode, headers }, other) => {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
      socket.write(`HTTP/1.1 ${String(statusCode)} Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      other.pipe(socket).pipe(other);
      for (const end of [socket, other])
        end.on('error', () => [socket, other].forEach((each) => each.destroy()));
    });
    upstream.on('response', () => socket.destroy());
    upstream.end();
  });
  return proxy.listen(0, '127.0.0.1');
};

const urls: string[] = [];
let folder: string;
let key: string;
let server: Awaited<ReturnType<typeof startServer>>;
let proxy: Server;
let url: string;
let browser: Browser;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'page-keys-'));
  const env = { AUTH_STORE: `sqlite:${folder}/access.db`, AUTH_MODE: 'required' };
  const create = ['keys', 'create', '--name', 'page'];
  const made = await promisify(execFile)(process.execPath, [CLI, ...create], {
    env: { ...process.env, ...env },
  });
  key = /^cdk_\w+$/m.exec(made.stdout)?.[0] ?? '';
  [server, browser] = await Promise.all([
    startServer({ ...env, SANDBOX: 'true', CORS_ORIGIN: '', DASHBOARD_WATCH: 'binance:BTC/USDT' }),
    launchChromium(),
  ]);
  proxy = startProxy(server.url);
  await once(proxy, 'listening');
  url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${PREFIX}`;
});
afterAll(async () => {
  await browser.close();
  proxy.close();
  proxy.closeAllConnections();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

test('asks for a key once, keeps it in memory alone, and works below a path', async () => {
  // A refused request is told by the browser's console too.
  const opened = await openPage(browser, { url }, { mayBeUnreachable: true });
  const { page, row, text } = opened;
  const field = page.getByLabel('API key');
  await field.waitFor(WAIT);
  expect(opened.sockets()).toBe(0);
  expect(await text(row('binance BTC/USDT').locator('.last'))).toBe('–');
  await field.fill('cdk_wrong_key');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor(WAIT);
  await field.fill(key);
  await page.keyboard.press('Enter');
  await expect.poll(() => text(row('binance BTC/USDT').locator('.last')), WAIT).toMatch(/\d/);
  expect(await field.count()).toBe(0);
  expect(opened.sockets()).toBe(1);
  const stored = await page.evaluate(
    'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
  );
  expect(stored).not.toContain(key);
  expect(urls.filter((each) => each.includes('cdk_'))).toEqual([]);
  expect(urls.every((each) => each.startsWith(`${PREFIX}/`))).toBe(true);
  await opened.expectNoFault();
  await page.reload();
  await field.waitFor(WAIT);
  await page.context().close();
});

test('a page of elsewhere opens no socket', async () => {
  const page = await browser.newPage();
  await page.goto('about:blank');
  const closed = await page.evaluate(`new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(`${server.url.replace('http', 'ws')}/ws`)});
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('refused');
  })`);
  expect(closed).toBe('refused');
  await page.close();
});
