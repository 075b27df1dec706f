/** The page in a real browser, in front of the built server: one browser, sandbox and server for all that it must show. */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { launchChromium } from '../support/chromium.js';
import { testAccess } from './dashboard-access.js';
import { testFeeds } from './dashboard-feeds.js';
import { openPage, SELECTED, type OpenPage } from './dashboard-rig.js';
import { testCoolDown, testHidden, testStates } from './dashboard-states.js';
import { testTruth } from './dashboard-truth.js';
import { startRig, type Rig } from './streams-rig.js';

let rig: Rig;
let browser: Browser;
let live: Promise<OpenPage> | undefined;
beforeAll(async () => {
  [rig, browser] = await Promise.all([
    startRig({
      ENABLED_EXCHANGES: 'binance,kraken',
      DASHBOARD_WATCH: 'binance:BTC/USDT,kraken:BTC/USD',
      STREAM_IDLE_TIMEOUT: '2',
    }),
    launchChromium(),
  ]);
  rig.sandbox.control.setTickRate(5);
});
afterEach(() => rig.sandbox.control.clearFaults());
afterAll(async () => {
  await browser.close();
  await rig.close();
});

const running = () => ({
  rig,
  browser,
  live: () => (live ??= openPage(browser, { url: rig.url, hash: SELECTED })),
});
// First: it looks at a server that nobody has asked for anything.
testStates(running);
testTruth(running);
testFeeds(running);
testHidden(running);
testAccess(running);
testCoolDown(running);
