/**
 * The page for ten minutes in front of fifty markets that each tick ten times a second: what it keeps and what it costs
 * stay as they were, and what it shows is never late or older than before. `PAGE_SECONDS` shortens it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, CDPSession } from 'playwright-core';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { openPage, WAIT } from '../e2e/dashboard-rig.js';
import { recordPrices, recordedPrices } from '../e2e/dashboard-records.js';
import { startServer } from '../e2e/streams-rig.js';
import { launchChromium } from '../support/chromium.js';

const SECONDS = Number(process.env['PAGE_SECONDS'] ?? 600);
const WARM_UP_SECONDS = 60;
const SYMBOLS = 50;
const TICKS_A_SECOND = 10;
/** Share of a core that the page's thread may take, drawing without a GPU. A machine with other work shows more: 0.21 was seen. */
const MAX_CPU = 0.15;
const LONG_TASK_MS = 50;
/** Garbage is collected before each look; caches of the browser's own may still grow a little. */
const MAX_HEAP_GROWTH_BYTES = 3_000_000;
const MAX_NODE_GROWTH = 500;
const LATE_MS = 1000;

let sandbox: Sandbox;
let server: Awaited<ReturnType<typeof startServer>>;
let browser: Browser;
beforeAll(async () => {
  sandbox = await startSandbox({ marketsPerVenue: SYMBOLS, ticksPerSecond: TICKS_A_SECOND });
  [server, browser] = await Promise.all([startServer({ SANDBOX: sandbox.url }), launchChromium()]);
});
afterAll(async () => {
  await browser.close();
  await server.close();
  await sandbox.close();
});

interface Weight {
  readonly heapBytes: number;
  readonly nodes: number;
  /** Seconds of work on the page's thread since it was opened. */
  readonly work: number;
  readonly at: number;
}

const weigh = async (session: CDPSession): Promise<Weight> => {
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const of = (name: string): number => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;
  return {
    heapBytes: of('JSHeapUsedSize'),
    nodes: of('Nodes'),
    work: of('TaskDuration'),
    at: performance.now(),
  };
};

test('fifty lively markets for ten minutes cost the page no more at the end than at the beginning', async () => {
  const markets = sandbox.market.markets('binance').filter(({ active }) => active);
  const list = markets.slice(0, SYMBOLS).map(({ symbol }) => ({ exchange: 'binance', symbol }));
  const opened = await openPage(
    browser,
    { url: server.url, hash: '#/binance/BTC-USDT/1m' },
    {
      scripts: [
        `localStorage.setItem('dashboard.watch', ${JSON.stringify(JSON.stringify(list))})`,
        `window.tasks = []; new PerformanceObserver((seen) => window.tasks.push(...seen.getEntries().map(
          ({ duration }) => duration))).observe({ type: 'longtask' });`,
      ],
    },
  );
  const { page, row, text } = opened;
  for (const { symbol } of list)
    await expect.poll(() => text(row(`binance ${symbol}`).locator('.last')), WAIT).toMatch(/\d/);
  await recordPrices(page);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  await pause(Math.min(WARM_UP_SECONDS, SECONDS) * 1000);
  await page.evaluate('window.tasks.length = 0');
  const before = await weigh(session);
  await pause(SECONDS * 1000);
  const after = await weigh(session);
  const tasks = await page.evaluate<number[]>('window.tasks');
  const seconds = (after.at - before.at) / 1000;
  const cpu = (after.work - before.work) / seconds;
  const prices = await recordedPrices(page);
  const late = prices.map(({ at, timestamp }) => at - timestamp).toSorted((a, b) => a - b);
  const [median, p99] = [0.5, 0.99].map((share) => late[Math.floor(share * late.length)] ?? Number.NaN);
  console.log({ seconds, cpu, tasks: tasks.length, before, after, prices: prices.length, median, p99 });

  expect(after.heapBytes - before.heapBytes).toBeLessThan(MAX_HEAP_GROWTH_BYTES);
  expect(after.nodes - before.nodes).toBeLessThan(MAX_NODE_GROWTH);
  expect(cpu).toBeLessThan(MAX_CPU);
  // Each message is a task, of which one in a hundred may be longer.
  const messages = seconds * TICKS_A_SECOND * SYMBOLS;
  expect(tasks.filter((ms) => ms > LONG_TASK_MS).length).toBeLessThan(messages / 100);
  expect(prices.length).toBeGreaterThan(seconds * TICKS_A_SECOND);
  expect(p99).toBeLessThan(LATE_MS);
  const latest = new Map<string, number>();
  for (const { market, timestamp } of prices) {
    expect(timestamp).toBeGreaterThanOrEqual(latest.get(market) ?? 0);
    latest.set(market, timestamp);
  }
  await opened.expectNoFault();
});
