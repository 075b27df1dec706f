/** What a page sees, in a real browser: prices that move, heartbeats, and a dead feed that says so. */
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openTab } from '../support/chromium.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startServer } from './streams-rig.js';

/** Kept as CI artefacts. */
const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url));
const WAIT_MS = 60_000;

/** A page of another origin, as a user's own would be. `?mode=sse|ws&base=<server>` */
const PAGE = `<!doctype html><meta charset="utf-8"><title>streams</title>
<style>body{font:16px system-ui;margin:2rem}#price{font-size:3rem}li{font:13px monospace}</style>
<h1 id="mode"></h1><p id="price">–</p><p>heartbeats <b id="heartbeats">0</b>, status <b id="status">–</b></p><ol id="log"></ol>
<script>
const query = new URLSearchParams(location.search), mode = query.get('mode'), base = query.get('base');
const stream = 'exchange=binance&symbol=BTC/USDT&threshold=0';
const seen = (window.seen = { prices: [], heartbeats: 0, states: [], opens: 0, errors: 0, sandbox: true });
const show = (id, text) => (document.getElementById(id).textContent = text);
show('mode', mode === 'sse' ? 'EventSource' : 'WebSocket');
const take = ({ data }) => {
  const event = JSON.parse(data);
  seen.sandbox &&= event.sandbox === true;
  if (event.event_type === 'ticker') { seen.prices.push(event.last); show('price', event.last + ' USDT'); }
  if (event.event_type === 'heartbeat') show('heartbeats', ++seen.heartbeats);
  if (event.event_type === 'status') { seen.states.push(event.state); show('status', event.state); }
  const line = document.createElement('li');
  line.textContent = data.slice(0, 150);
  document.getElementById('log').prepend(line);
};
if (mode === 'sse') {
  const source = new EventSource(base + '/v1/stream/ticker?' + stream);
  source.onopen = () => seen.opens++;
  source.onerror = () => seen.errors++;
  source.onmessage = take;
} else {
  const socket = new WebSocket(base.replace('http', 'ws') + '/ws/ticker?' + stream);
  socket.onopen = () => seen.opens++;
  socket.onerror = () => seen.errors++;
  socket.onmessage = take;
}
</script>`;

interface Seen {
  readonly prices: number[];
  readonly heartbeats: number;
  readonly states: string[];
  readonly opens: number;
  readonly errors: number;
  readonly sandbox: boolean;
}

const SETTINGS = { STREAM_HEARTBEAT_INTERVAL: '0.5' };

let sandbox: Sandbox;
let server: Awaited<ReturnType<typeof startServer>>;
let pages: Server;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true });
  sandbox = await startSandbox({ ticksPerSecond: 5 });
  server = await startServer({ SANDBOX: sandbox.url, ...SETTINGS });
  pages = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE);
  }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  browser = await launchChromium();
});

afterAll(async () => {
  await browser.close();
  pages.close();
  await server.close();
  await sandbox.close();
});

const seenBy = (page: Page): Promise<Seen> => page.evaluate('window.seen');

test.each(['sse', 'ws'])(
  'a page with %s shows moving prices, heartbeats and a change of status',
  async (mode) => {
    const page = await openTab(browser);
    const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
    await page.goto(`${origin}/?mode=${mode}&base=${encodeURIComponent(server.url)}`);
    const until = (condition: string): Promise<unknown> =>
      page.waitForFunction(`(${condition})(window.seen)`, undefined, { timeout: WAIT_MS });

    await until(
      '(seen) => new Set(seen.prices).size >= 3 && seen.heartbeats >= 2 && seen.states.at(-1) === "live"',
    );
    await page.screenshot({ path: `${ARTIFACTS}stream-${mode}-live.png` });

    sandbox.control.setFault({
      venue: 'binance',
      match: 'websocket',
      fault: { type: 'status', status: 503 },
    });
    sandbox.control.sockets('binance', { action: 'terminate' });
    await until('(seen) => ["reconnecting", "polling"].includes(seen.states.at(-1))');
    await page.screenshot({ path: `${ARTIFACTS}stream-${mode}-feed-lost.png` });

    sandbox.control.clearFaults();
    await until('(seen) => seen.states.at(-1) === "live"');
    const before = (await seenBy(page)).prices.length;
    await until(`(seen) => seen.prices.length > ${before}`);
    const seen = await seenBy(page);
    expect(seen).toMatchObject({ opens: 1, errors: 0, sandbox: true });
    expect(seen.states.filter((state) => state === 'live').length).toBeGreaterThanOrEqual(2);
    await page.close();
  },
);

test('a browser has six event streams of a host over HTTP/1.1, and a WebSocket beside them', async () => {
  const page = await openTab(browser);
  await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/?mode=ws&base=${server.url}`);
  const stream = `${server.url}/v1/stream/ticker?exchange=binance&symbol=BTC/USDT&threshold=0`;
  const states = (): Promise<number[]> => page.evaluate('window.sources.map(({ readyState }) => readyState)');
  await page.evaluate(`window.sources = Array.from({ length: 7 }, () => new EventSource('${stream}'))`);
  const [connecting, open] = [0, 1];
  const six = [...Array.from({ length: 6 }, () => open), connecting];
  await expect.poll(async () => (await states()).sort((a, b) => b - a), { timeout: WAIT_MS }).toEqual(six);
  // A socket that is opened after them.
  await page.evaluate(`window.socket = new WebSocket('${server.url.replace('http', 'ws')}/ws')`);
  await expect.poll(() => page.evaluate('window.socket.readyState'), { timeout: WAIT_MS }).toBe(open);
  expect((await states()).sort((a, b) => b - a)).toEqual(six);
  const chapter = readFileSync(new URL('../../docs/streams.md', import.meta.url), 'utf8');
  expect(chapter.replaceAll(/\s+/g, ' ')).toMatch(
    /at most six HTTP\/1\.1 connections to one host.*One WebSocket at `\/ws` carries up to 200 subscriptions/,
  );
  await page.close();
});

/** A proxy that serves the server below `/crypto/`, as nginx does with `location /crypto/ { proxy_pass <url>/; }`. */
const startPrefixProxy = async (target: string): Promise<{ readonly url: string; close(): void }> => {
  const proxy = createServer((request, response) => {
    if (request.url?.startsWith('/crypto/') !== true) {
      response.writeHead(404).end();
      return;
    }
    void fetch(`${target}${request.url.slice('/crypto'.length)}`, { redirect: 'manual' }).then(
      async (answer) => {
        const body = Buffer.from(await answer.arrayBuffer());
        const kept = ['content-type', 'content-security-policy', 'location'].flatMap((name) => {
          const value = answer.headers.get(name);
          return value === null ? [] : [[name, value] as const];
        });
        response.writeHead(answer.status, Object.fromEntries(kept)).end(body);
      },
    );
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/crypto`,
    close: () => {
      proxy.close();
      proxy.closeAllConnections();
    },
  };
};

test('the documentation works below the path prefix of a proxy, and its requests go below it too', async () => {
  const proxy = await startPrefixProxy(server.url);
  const page = await openTab(browser);
  const failed: string[] = [];
  const asked: string[] = [];
  page.on('response', (response) => {
    asked.push(response.url());
    if (response.status() >= 400) failed.push(response.url());
  });
  await page.goto(`${proxy.url}/docs/`);
  await page.getByText('/v1/health', { exact: true }).first().click({ timeout: WAIT_MS });
  await page.getByRole('button', { name: 'Execute' }).click({ timeout: WAIT_MS });
  await expect.poll(() => asked, { timeout: WAIT_MS }).toContain(`${proxy.url}/v1/health`);
  await page.goto(`${proxy.url}/redoc`);
  await page.getByText('Is the server alive').first().waitFor({ timeout: WAIT_MS });
  expect(failed).toEqual([]);
  await page.close();
  proxy.close();
});

// Last: what the others share is started anew.
test('a page whose event stream is ended by a restart comes back by itself', async () => {
  const page = await openTab(browser);
  const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  await page.goto(`${origin}/?mode=sse&base=${encodeURIComponent(server.url)}`);
  const until = (condition: string): Promise<unknown> =>
    page.waitForFunction(`(${condition})(window.seen)`, undefined, { timeout: WAIT_MS });
  await until('(seen) => seen.prices.length > 0');
  await server.close();
  await until('(seen) => seen.errors > 0');
  server = await startServer({ SANDBOX: sandbox.url, ...SETTINGS, PORT: new URL(server.url).port });
  await until('(seen) => seen.opens === 2');
  await page.close();
});
