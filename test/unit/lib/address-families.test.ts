import { getDefaultAutoSelectFamilyAttemptTimeout, setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createCcxtClient } from '../../../src/exchanges/ccxt/ccxt-client.js';
import { silentLog } from '../../../src/log/log.js';

const usual = getDefaultAutoSelectFamilyAttemptTimeout();
afterEach(() => {
  setDefaultAutoSelectFamilyAttemptTimeout(usual);
});

test('each address of a venue gets one to two seconds to answer, in whichever thread the venue is asked', async () => {
  setDefaultAutoSelectFamilyAttemptTimeout(250);
  const client = createCcxtClient({
    exchanges: ['binance'],
    exchangeOptions: {},
    budget: { requests: 1, windowMs: 1_000 },
    upstreamTimeoutMs: 8_000,
    proxy: { https: '', http: '', no: '' },
    sandboxUrl: null,
    userAgent: 'test',
    log: silentLog,
  });
  expect(getDefaultAutoSelectFamilyAttemptTimeout()).toBeGreaterThanOrEqual(1_000);
  expect(getDefaultAutoSelectFamilyAttemptTimeout()).toBeLessThanOrEqual(2_000);
  await client.close();
});
