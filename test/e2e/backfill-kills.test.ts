/**
 * A server that dies at random points of a backfill, without a warning: what is stored is whole each time, the next server
 * goes on by itself, and a death costs one page at most.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { extent } from '../support/extent.js';
import { startServer } from './streams-rig.js';
import { TEST_STORES, type Look, type TestStore } from './test-stores.js';

const MINUTE = 60_000;
const PAGE = 1_000;
/** Copies: how often the store is looked at in a life, the last time at its end. */
const EXTENTS = {
  SQLite: extent({ short: { kills: 3, copies: 3 }, long: { kills: 50, copies: 3 } }),
  PostgreSQL: extent({ short: { kills: 1, copies: 3 }, long: { kills: 25, copies: 3 } }),
};
/** Time from a request to the next one, at least. */
const PAGE_MS = 30;
/** Finds out whether the range reaches beyond the listing. */
const LISTING_REQUESTS = 1;

let sandbox: Sandbox;
let folder: string;
let store: TestStore | undefined;
beforeEach(async () => {
  sandbox = await startSandbox({ weightLimit: Infinity });
  folder = mkdtempSync(join(tmpdir(), 'candles-'));
});
afterEach(async () => {
  await store?.close();
  await sandbox.close();
  rmSync(folder, { recursive: true });
});

const candleRequests = (): number =>
  sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv').length;

const start = (storeUrl: string) =>
  startServer({
    SANDBOX: sandbox.url,
    STORE_URL: storeUrl,
    BACKFILL_API: 'true',
    BACKFILL_BUDGET_SHARE: '1',
    RATE_LIMIT_REQUESTS: '100000',
    EXCHANGE_WORKERS: '0',
    EXCHANGE_OPTIONS: `{"binance":{"rateLimit":${PAGE_MS}}}`,
  });

const CASES = TEST_STORES.map(({ kind, open }) => ({ kind, open, ...EXTENTS[kind] }));

test.each(CASES)(
  '$kind, $kills times kill -9: no hole, no duplicate, a page more at most for each',
  async (given) => {
    const { kills, copies, open } = given;
    /** A life asks for two pages more at most than there are looks. */
    const pages = kills * (copies + 2) + 2;
    const own = await open(folder);
    store = own;
    const to = Math.floor(Date.now() / MINUTE) * MINUTE - 120 * MINUTE;
    const from = to - pages * PAGE * MINUTE;
    const asked = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from, to };
    const frozen: (() => Promise<Look>)[] = [];
    const looks: Look[] = [];
    let id = '';
    for (let kill = 0; kill < kills; kill += 1) {
      const { process: server, url } = await start(own.url);
      const before = candleRequests();
      if (kill === 0) {
        const headers = { 'content-type': 'application/json' };
        const answer = await fetch(`${url}/v1/backfills`, {
          method: 'POST',
          headers,
          body: JSON.stringify(asked),
        });
        ({ id } = (await answer.json()) as { id: string });
      }
      await vi.waitFor(() => expect(candleRequests()).toBeGreaterThan(before), {
        ...{ timeout: 20_000, interval: 5 },
      });
      for (let copied = 0; copied < copies; copied += 1) {
        server.kill('SIGCONT');
        // Anywhere within the time of a page.
        await new Promise((resolve) => setTimeout(resolve, Math.random() * PAGE_MS));
        server.kill('SIGSTOP');
        frozen.push(await own.freeze());
      }
      server.kill('SIGKILL');
      await once(server, 'exit');
      await own.bury();
      for (const look of frozen.splice(0)) looks.push(await look());
    }

    const last = await start(own.url);
    const { url } = last;
    const job = await vi.waitFor(
      async () => {
        const found = (await (await fetch(`${url}/v1/backfills/${id}`)).json()) as { state: string };
        expect(found.state).toBe('done');
        return found;
      },
      { timeout: 60_000, interval: 20 },
    );
    expect(job).toMatchObject({ percent: 100, candles: pages * PAGE });
    const csv = await fetch(
      `${url}/v1/markets/ohlcv/export?exchange=binance&symbol=BTC/USDT&interval=1m&from=${from}&to=${to}`,
    );
    expect(csv.headers.get('data-gaps')).toBeNull();
    const truth = sandbox.market
      .candles('binance', 'BTC/USDT', { interval: '1m', from, to: to - MINUTE, now: Date.now() })
      .map(({ timestamp, open, high, low, close: end, volume }) =>
        [timestamp, open, high, low, end, volume, true].join(','),
      );
    expect((await csv.text()).split('\r\n').slice(1, -1)).toEqual(truth);
    expect(candleRequests()).toBeLessThanOrEqual(pages + LISTING_REQUESTS + kills);
    await last.close();

    // A power cut at each of these instants: the store opens, and holds all that its coverage knows.
    expect(looks.flatMap(({ faults }) => faults)).toEqual([]);
    const counts = looks.map(({ candles }) => candles);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(await own.look()).toEqual({ faults: [], candles: pages * PAGE });
  },
);
