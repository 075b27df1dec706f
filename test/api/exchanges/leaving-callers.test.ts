import { afterEach, expect, it } from 'vitest';
import { createCcxtClient } from '../../../src/exchanges/ccxt/ccxt-client.js';
import { silentLog } from '../../../src/log/log.js';
import { startSandbox } from '../../../src/sandbox/sandbox.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

it('a caller who leaves is no fault of the exchange: its last_error stays empty', async () => {
  const sandbox = await startSandbox();
  closers.push(() => sandbox.close());
  const client = createCcxtClient({
    exchanges: ['binance'],
    exchangeOptions: {},
    budget: { requests: 1000, windowMs: 60_000 },
    upstreamTimeoutMs: 8_000,
    proxy: { https: '', http: '', no: '' },
    sandboxUrl: sandbox.url,
    userAgent: 'test',
    log: silentLog,
  });
  closers.push(() => client.close());
  const ask = (signal?: AbortSignal) =>
    client.fetch(
      { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
      { deadline: Number.MAX_SAFE_INTEGER, priority: 'caller', signal },
    );
  await ask();
  sandbox.control.setFault({ venue: 'binance', match: 'ticker', fault: { type: 'hang' } });
  const leaving = new AbortController();
  const answer = ask(leaving.signal);
  leaving.abort();
  await expect(answer).rejects.toMatchObject({ code: 'upstream_timeout' });
  expect(client.health()[0]?.lastError).toBeNull();
});
