// A new operator's first hour, by docs/access.md alone: its commands are run as they stand, against the built program.
// And the page of docs/streams.md that takes tickets, in a real browser.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchChromium, openTab } from '../support/chromium.js';
import { blocksOf, type Block } from './readme-blocks.js';
import { startServer } from './streams-rig.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/** Generous: the machine may be busy. */
const PATIENT = { timeout: 30_000, interval: 100 };

type RunningServer = Awaited<ReturnType<typeof startServer>>;

const blocks = blocksOf(read('docs/access.md'), 'docs/access.md').filter(
  ({ language }) => language === 'bash',
);
const blockWith = (needle: string): Block => {
  const found = blocks.filter(({ text }) => text.includes(needle));
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} blocks have ${needle}`);
  return found[0];
};

let folder: string;
let server: RunningServer;
/** Of the server, once it listens. */
let address = 'http://localhost:8000';
let pages: Server;
let browser: Browser;
const log: string[] = [];

/** What the document's paths and addresses are here. */
const here = (text: string): string =>
  text.replaceAll('/data/', `${folder}/`).replaceAll('http://localhost:8000', address);

/** Runs a block as it stands, with these variables set; gives what it prints on standard output. */
const follow = async ({ text }: Block, variables: Readonly<Record<string, string>> = {}): Promise<string> => {
  const child = spawn(
    'bash',
    ['-c', `set -e\ncurl() { command curl -sS --max-time 20 "$@"; echo; }\n${here(text)}`],
    {
      cwd: folder,
      env: { PATH: `${folder}/bin:${process.env['PATH'] ?? ''}`, HOME: folder, ...settings(), ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  let faults = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (faults += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  await once(child, 'close');
  clearTimeout(timer);
  expect(child.exitCode, `${text}\n${faults}`).toBe(0);
  return output;
};

/** What the first block exports: an operator's shell keeps it. */
const settings = (): Record<string, string> => {
  const [, store = ''] = /^export AUTH_STORE=(\S+)$/m.exec(blockWith('export AUTH_STORE').text) ?? [];
  return { AUTH_STORE: store.replaceAll('/data/', `${folder}/`) };
};

const KEY = /^cdk_\w+$/m;
const keyIn = (output: string): string => KEY.exec(output)?.[0] ?? '';
const idOf = (key: string): string => key.split('_')[1] ?? '';
const statusOf = async (key: string): Promise<number> => {
  const answer = await fetch(`${server.url}/v1/me`, { headers: { authorization: `Bearer ${key}` } });
  await answer.text();
  return answer.status;
};

let first = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'operator-'));

  mkdirSync(join(folder, 'bin'));
  const program = join(folder, 'bin', 'mcp-crypto-data-server');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`);
  chmodSync(program, 0o755);
  first = keyIn(await follow(blockWith('keys create --name first')));
  const start = blockWith('AUTH_MODE=required').text.trim();
  const assigned = /^((?:[A-Z_]+=\S+ )+)mcp-crypto-data-server$/.exec(start)?.[1] ?? '';
  const given = Object.fromEntries(
    assigned
      .trim()
      .split(' ')
      .map((pair) => pair.split('=') as [string, string]),
  );
  expect(given).toMatchObject({ AUTH_MODE: 'required', ADMIN_API: 'true' });
  server = await startServer({
    ...settings(),
    ...given,
    SANDBOX: 'true',
    ACCESS_LOG: 'all',
    STORE_URL: 'none',
  });
  address = server.url;
  server.process.stdout?.on('data', (chunk: Buffer) => log.push(chunk.toString()));
  const [, page = ''] = /^```html\n((?:(?!^```)[\s\S])*?\/v1\/tickets[\s\S]*?)^```$/m.exec(TICKET_PART) ?? [];
  expect(page).toContain('takeTicket');
  pages = createServer((_request, response) => {
    const text = `<!doctype html><meta charset="utf-8">${here(page)}`;
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(text);
  }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  browser = await launchChromium();
}, 120_000);
afterAll(async () => {
  await browser.close();
  pages.closeAllConnections();
  await new Promise((resolve) => pages.close(resolve));
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});
const STREAMS = read('docs/streams.md');
const TICKET_PART = STREAMS.slice(STREAMS.indexOf('## Pages and credentials'));

describe('an operator who has nothing but docs/access.md', () => {
  test('gets the first key by one command, and calls with it', async () => {
    expect(first).toMatch(KEY);
    const output = await follow(blockWith('/v1/markets/ticker?'), { KEY: first });
    const answers = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(answers).toMatchObject([{ symbol: 'BTC/USDT' }, { type: 'key', id: idOf(first), name: 'first' }]);
  });

  test('makes a plan and a key that has it', async () => {
    const output = await follow(blockWith('plans set trial'));
    const key = keyIn(output);
    await expect.poll(() => statusOf(key), PATIENT).toBe(200);
    const me = await fetch(`${server.url}/v1/me`, { headers: { 'x-api-key': key } });
    expect(await me.json()).toMatchObject({ plan: 'trial', limits: { day: 5000, streams: 2 } });
  });

  test('rotates a key: both are good for the overlap, and the old one tells what replaced it', async () => {
    const old = keyIn(await follow(blockWith('keys create --name first')));
    await expect.poll(() => statusOf(old), PATIENT).toBe(200);
    const next = keyIn(await follow(blockWith('--overlap 86400'), { ID: idOf(old) }));
    await expect.poll(() => statusOf(next), PATIENT).toBe(200);
    expect(await statusOf(old)).toBe(200);
  });

  test('finds a key that leaked in a URL, sees its use, and ends it', async () => {
    const leaky = keyIn(await follow(blockWith('keys create --name first')));
    await expect.poll(() => statusOf(leaky), PATIENT).toBe(200);
    const refused = await fetch(`${server.url}/v1/health?apikey=${leaky}`);
    expect(await refused.json()).toMatchObject({ status: 400, code: 'credential_in_url' });
    await expect.poll(() => log.join(''), PATIENT).toContain('counts as leaked');
    expect(log.join('')).toContain(idOf(leaky));
    expect(log.join('')).not.toContain(leaky);
    const found = await follow(blockWith('keys list'), { ID: idOf(leaky), ADMIN: first });
    expect(found).toMatch(new RegExp(`^${idOf(leaky)} +good, leaked `, 'm'));
    expect(found).toContain('"usage":[{');
    const next = keyIn(await follow(blockWith('--overlap 0'), { ID: idOf(leaky) }));
    await expect.poll(() => statusOf(leaky), PATIENT).toBe(401);
    await expect.poll(() => statusOf(next), PATIENT).toBe(200);
  });

  test('runs every command of the document', () => {
    expect(blocks).toHaveLength(7);
  });
});

describe('the page of docs/streams.md that takes a ticket', () => {
  test('streams in a browser, without a key in any URL, until the key is revoked', async () => {
    const { port } = pages.address() as AddressInfo;
    const key = keyIn(await follow(blockWith('keys create --name first')));
    await expect.poll(() => statusOf(key), PATIENT).toBe(200);
    const page = await openTab(browser);
    const [urls, told]: [string[], string[]] = [[], []];
    page.on('dialog', (dialog) => void dialog.accept(key));
    page.on('request', (request) => urls.push(request.url()));
    page.on('console', (message) => told.push(message.text()));
    await page.goto(`http://127.0.0.1:${port}/`);
    const out = page.locator('#out');
    await expect.poll(() => out.textContent(), PATIENT).toMatch(/^\d+(\.\d+)?$/);
    expect(urls.filter((url) => url.includes('ticket=cdt_'))).toHaveLength(1);
    expect(urls.join('\n')).not.toContain('cdk_');
    const revoked = await fetch(`${server.url}/v1/admin/keys/${idOf(key)}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${first}` },
    });
    expect(revoked.status).toBe(200);
    await expect.poll(() => told.join('\n'), PATIENT).toContain('credentials_revoked');
    // The page tries again, and learns from the ticket that it does not get.
    await expect
      .poll(() => told.filter((text) => text.includes('credentials_revoked')).length, PATIENT)
      .toBeGreaterThan(1);
    await page.close();
  });
});

/** What a process had loaded, by the report that Node writes when it ends. */
const scriptsIn = (report: string): string[] =>
  (JSON.parse(readFileSync(report, 'utf8')) as { result: { url: string }[] }).result.map(({ url }) => url);
const OF_ACCESS = /dist\/chunks\/(open-access|\w+-access-store|metering|live-limits|oauth|tickets|me|admin)-/;

test('with AUTH_MODE=off a key in a URL is served, and cut from the log; what knows keys is not loaded', async () => {
  const off = await startServer({
    SANDBOX: 'true',
    ACCESS_LOG: 'all',
    STORE_URL: 'none',
    LOG_LEVEL: 'debug',
    NODE_V8_COVERAGE: join(folder, 'loaded'),
  });
  const lines: string[] = [];
  off.process.stdout?.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  expect((await fetch(`${off.url}/v1/health?key=${first}`)).status).toBe(200);
  const bad = await fetch(`${off.url}/v1/markets/ticker?exchange=binance&symbol=${first}`);
  expect(bad.status).toBe(400);
  const problem = await bad.text();
  expect(problem).toContain('"status":400');
  await expect.poll(() => lines.join(''), PATIENT).toContain('/v1/markets/ticker');
  await off.close();
  expect(lines.join('')).not.toContain(first);
  // Files of the build have the name of what is loaded when it is needed.
  const loaded = readdirSync(join(folder, 'loaded')).flatMap((name) =>
    scriptsIn(join(folder, 'loaded', name)),
  );
  expect(loaded).toContainEqual(expect.stringContaining('/dist/chunks/serve-http-'));
  expect(loaded.filter((url) => OF_ACCESS.test(url))).toEqual([]);
});
