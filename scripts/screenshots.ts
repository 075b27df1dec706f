/** Takes the pictures of the page that the documents show (docs/images) from the built demo: `npm run screenshots`. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launchChromium } from '../test/support/chromium.js';
import { startDemo } from '../test/e2e/readme-demo.js';

const FOLDER = fileURLToPath(new URL('../docs/images/', import.meta.url));
const PICTURES = [
  { name: 'dashboard', colorScheme: 'dark', width: 1440, height: 900 },
  { name: 'dashboard-phone', colorScheme: 'light', width: 390, height: 844 },
] as const;
/** Until books, trades and the health of the exchanges have been drawn a few times. */
const SETTLE_MS = 5000;

process.env['DASHBOARD_WATCH'] = 'binance:BTC/USDT,binance:ETH/USDT,kraken:BTC/USD,coinbasepro:BTC/USD';
mkdirSync(FOLDER, { recursive: true });
const demo = await startDemo();
const browser = await launchChromium();
for (const { name, colorScheme, width, height } of PICTURES) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height } });
  await page.goto(`http://127.0.0.1:${demo.port}/dashboard/#/binance/BTC-USDT/15m`);
  await page.getByText('500 candles').waitFor();
  await page.waitForTimeout(SETTLE_MS);
  await page.screenshot({ path: `${FOLDER}${name}.png` });
  await page.close();
}
await browser.close();
await demo.stop();
