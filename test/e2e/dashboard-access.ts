/**
 * The page of a server that asks for keys, takes no foreign page and has one place for streams, behind an nginx that puts
 * a path in front of it.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { startPathProxy } from '../support/nginx.js';
import { chartWords, LOADED, openPage, tapeOf, WAIT, type OpenPage, type Running } from './dashboard-rig.js';
import { startServer } from './streams-rig.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PREFIX = '/x/y';
const ROW = 'binance BTC/USDT';

const makeKey = async (env: Readonly<Record<string, string>>): Promise<string> => {
  const create = ['keys', 'create', '--name', 'page'];
  const made = await promisify(execFile)(process.execPath, [CLI, ...create], {
    env: { ...process.env, ...env },
  });
  return /^cdk_\w+$/m.exec(made.stdout)?.[0] ?? '';
};

const logIn = async ({ page }: OpenPage, key: string): Promise<void> => {
  await page.getByLabel('API key').fill(key, WAIT);
  await page.keyboard.press('Enter');
};

const expectValues = ({ row, text }: OpenPage): Promise<void> =>
  expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);

const connectionOf = ({ page, text }: OpenPage): Promise<string> => text(page.locator('.connection'));

export const testAccess = (running: () => Running): void => {
  test('asks for a key once, keeps it in memory alone, works below a path, and comes back after a restart', async () => {
    const { rig, browser } = running();
    const folder = mkdtempSync(join(tmpdir(), 'page-keys-'));
    const access = { AUTH_STORE: `sqlite:${folder}/access.db`, AUTH_MODE: 'required' };
    const key = await makeKey(access);
    const env = {
      ...access,
      ...{ SANDBOX: rig.sandbox.url, CORS_ORIGIN: '', DASHBOARD_WATCH: 'binance:BTC/USDT' },
      ...{ STREAM_MAX_CONNECTIONS: '1', STREAM_MAX_PER_CLIENT: '1' },
    };
    let server = await startServer(env);
    const proxy = await startPathProxy(server.url, PREFIX);
    onTestFinished(async () => {
      await proxy.stop();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const address = { url: proxy.url + PREFIX, hash: '#/binance/BTC-USDT/1s' };
    // A refused request is told by the browser's console too.
    const opened = await openPage(browser, address, { mayBeUnreachable: true });
    const { page, row, text } = opened;
    const field = page.getByLabel('API key');
    await field.waitFor(WAIT);
    expect(opened.sockets()).toBe(0);
    expect(await text(row(ROW).locator('.last'))).toBe('–');
    expect(opened.urls.filter((url) => url.includes('/v1/markets'))).toEqual([]);
    await logIn(opened, 'cdk_wrong_key');
    await page.getByRole('alert').waitFor(WAIT);
    await logIn(opened, key);
    await expectValues(opened);
    expect(await field.count()).toBe(0);
    expect(opened.sockets()).toBe(1);
    const stored = await page.evaluate(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
    );
    expect(stored).not.toContain(key);
    await expect.poll(() => tapeOf(page).then(({ length }) => length), WAIT).toBeGreaterThan(0);
    await expect.poll(() => chartWords(page), WAIT).toMatch(LOADED);
    const tape = await tapeOf(page);
    const restartedAt = Date.now();

    await server.close();
    await expect.poll(() => connectionOf(opened), WAIT).toBe('reconnecting');
    expect(await text(row(ROW))).toContain('reconnecting');
    expect(await text(row(ROW).locator('.last'))).toMatch(/\d/);
    server = await startServer({ ...env, PORT: new URL(server.url).port });
    await expect.poll(() => connectionOf(opened), WAIT).toBe('live');
    await expect.poll(() => text(row(ROW)), WAIT).not.toContain('reconnecting');
    // Trades and candles of the time without a server are fetched; the sandbox numbers trades without holes.
    const before = new Set(tape.map(({ id }) => id));
    await expect
      .poll(async () => (await tapeOf(page)).filter(({ id }) => !before.has(id)).length, WAIT)
      .toBeGreaterThan(0);
    const ids = (await tapeOf(page)).map(({ id }) => Number(id));
    expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) - index));
    await expect.poll(() => page.getByRole('list', { name: 'Gaps' }).count(), WAIT).toBe(0);
    const away = Math.floor((Date.now() - restartedAt) / 1000);
    await expect
      .poll(async () => Number(await page.locator('[data-candles]').getAttribute('data-candles')), WAIT)
      .toBeGreaterThanOrEqual(500 + away);
    expect(await field.count()).toBe(0);

    // The one place is taken: another page says so, shows what REST tells, and takes the place once it is free.
    const other = await openPage(browser, address, { mayBeUnreachable: true });
    await other.page.clock.install();
    await logIn(other, key);
    await expect
      .poll(async () => {
        await other.page.clock.fastForward(1000);
        return text(other.page.locator('.head'));
      }, WAIT)
      .toContain('all its places for streams may be taken');
    expect(await text(other.page.getByRole('region', { name: 'Health' }))).toContain('budget');
    for (const { urls } of [opened, other]) {
      expect(urls.filter((url) => url.includes('cdk_'))).toEqual([]);
      expect(urls.every((url) => new URL(url).pathname.startsWith(`${PREFIX}/`))).toBe(true);
    }
    await opened.expectNoFault();
    await page.reload();
    await field.waitFor(WAIT);
    await page.context().close();
    await expect
      .poll(async () => {
        await other.page.clock.fastForward(1000);
        return connectionOf(other);
      }, WAIT)
      .toBe('live');
    await expectValues(other);
    await other.expectNoFault();

    const foreign = await browser.newPage();
    await foreign.goto('about:blank');
    const closed = await foreign.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket(${JSON.stringify(`${server.url.replace('http', 'ws')}/ws`)});
      socket.onopen = () => resolve('open');
      socket.onerror = () => resolve('refused');
    })`);
    expect(closed).toBe('refused');
    await foreign.close();
    await other.page.context().close();
  });
};
