// Two sandboxes that run beside the server: each store belongs to one seed.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { LedgerRig, series } from './ledger-app.js';

let rig: LedgerRig;
let sandboxes: Sandbox[] = [];
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(async () => {
  await rig.close();
  for (const sandbox of sandboxes.splice(0)) await sandbox.close();
  sandboxes = [];
});

/** Starts a server on a sandbox of its own and ends it; without `control` the sandbox does not tell its seed. */
const serve = async (seed: number, control = true): Promise<number> => {
  const sandbox = await startSandbox({ seed, control });
  sandboxes.push(sandbox);
  const app = await rig.app({ SANDBOX: sandbox.url });
  const { statusCode } = await app.inject(`/v1/markets/ohlcv?${series('binance', 'BTC/USDT')}&limit=5`);
  await app.close();
  return statusCode;
};

test('the store of one seed is refused to another, and taken by the same seed again', async () => {
  expect(await serve(3)).toBe(200);
  await expect(serve(4)).rejects.toThrow(/STORE_URL: .*sandbox:3 .*sandbox:4/);
  expect(await serve(3)).toBe(200);
});

test('a store that was begun without a known seed belongs to the first seed that is told', async () => {
  expect(await serve(3, false)).toBe(200);
  expect(await serve(5)).toBe(200);
  await expect(serve(3)).rejects.toThrow(/sandbox/);
});
