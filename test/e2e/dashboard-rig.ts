/** The page of the built server in a real browser, watched for what it must never do. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

/** Generous: the machine may be busy. */
export const WAIT = { timeout: 30_000 };

/** Counts violations of the policy before any script of the page runs. */
const WATCH_VIOLATIONS = `window.violations = [];
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
  window.violations.push(violatedDirective + ' ' + blockedURI));`;

export interface OpenPage {
  readonly page: Page;
  /** Requests to other hosts, console errors, exceptions and violations of the policy: there are none. */
  expectNoFault(): Promise<void>;
  /** WebSockets that were ever opened. */
  readonly sockets: () => number;
  readonly row: (market: string) => Locator;
  readonly text: (locator: Locator) => Promise<string>;
}

/** Errors that a browser writes to the console of its own accord, where the server cannot be reached. */
const UNREACHABLE = /WebSocket connection to|net::ERR_CONNECTION_REFUSED|Failed to load resource/;

export interface OpenOptions extends BrowserContextOptions {
  /** The server goes away within the test. */
  readonly mayBeUnreachable?: boolean;
  /** Added to the page's wall clock. */
  readonly clockOffMs?: number;
}

/** Opens `<url>/dashboard/<hash>` in a context of its own. */
export const openPage = async (
  browser: Browser,
  address: { readonly url: string; readonly hash?: string },
  { mayBeUnreachable = false, clockOffMs = 0, ...options }: OpenOptions = {},
): Promise<OpenPage> => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  let sockets = 0;
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    if (!mayBeUnreachable || !UNREACHABLE.test(message.text())) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('websocket', () => (sockets += 1));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(address.url).host) faults.push(request.url());
  });
  await page.addInitScript(WATCH_VIOLATIONS);
  await page.addInitScript(`{ const now = Date.now; Date.now = () => now() + ${clockOffMs}; }`);
  await page.goto(`${address.url}/dashboard/${address.hash ?? ''}`);
  return {
    page,
    sockets: () => sockets,
    row: (market) => page.locator(`tr[data-market="${market}"]`),
    text: async (locator) => (await locator.textContent(WAIT)) ?? '',
    async expectNoFault() {
      expect(faults).toEqual([]);
      expect(await page.evaluate('window.violations')).toEqual([]);
    },
  };
};

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }";

/** What axe finds against WCAG 2.2 AA: a line each. By evaluation, since the page's policy lets no script be added. */
export const axeFindings = async (page: Page): Promise<string[]> => {
  await page.evaluate(`${AXE}; undefined`);
  return page.evaluate(`axe.run(document, ${RULES}).then(({ violations }) => violations.flatMap(
    ({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ' ' + target.join(' ') + ' ' + failureSummary)))`);
};

/** Within the page: a cell's number. */
const NUMBER = "const number = (cell) => Number(cell.textContent.replaceAll(',', ''));";

/** A row of the watch list at one instant. */
export const shownTicker = (
  page: Page,
  market: string,
): Promise<{ timestamp: number; last: number; bid: number; ask: number }> =>
  page.evaluate(`(() => {
    ${NUMBER}
    const row = document.querySelector('tr[data-market="${market}"]');
    const of = (name) => number(row.querySelector('.' + name));
    return { timestamp: Number(row.dataset.timestamp), last: of('last'), bid: of('bid'), ask: of('ask') };
  })()`);

/** The order book at one instant, best first. */
export const shownBook = (page: Page): Promise<{ timestamp: number; bids: number[][]; asks: number[][] }> =>
  page.evaluate(`(() => {
    ${NUMBER}
    const table = document.querySelector('[aria-label="Order book"] table');
    const levels = (side) =>
      [...table.querySelectorAll('tbody.' + side + ' tr')].map(({ cells }) => [number(cells[0]), number(cells[1])]);
    return { timestamp: Number(table.dataset.timestamp), bids: levels('bid'), asks: levels('ask').reverse() };
  })()`);

/** The trades on the page, newest first. */
export const tapeOf = (page: Page): Promise<{ id: string; price: number; amount: number; side: string }[]> =>
  page.evaluate(`(() => {
    ${NUMBER}
    return [...document.querySelectorAll('[aria-label=Trades] tbody tr')].map(({ dataset, cells }) => ({
      id: dataset.trade,
      price: number(cells[1]),
      amount: number(cells[2]),
      side: cells[3].textContent.split(' ')[1],
    }));
  })()`);
