/** Requests that this server itself makes wait, for so long that no time would be left for the answer. */
import { afterEach, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { startRig, type Rig } from './rig.js';

const TICKER = { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;

let rig: Rig;
afterEach(() => rig.close());

it('are refused as what they are, this server’s own pace, and not as the silence of the venue', async () => {
  rig = await startRig({ rateLimit: 1_600 });
  const ask = () => rig.client.fetch(TICKER, { deadline: Date.now() + 1_800, priority: 'poll', attempts: 1 });
  await rig.client.fetch(TICKER, { deadline: Date.now() + 20_000, priority: 'poll' });
  rig.sandbox.control.setFault({ venue: 'binance', fault: { type: 'delay', ms: 300 } });
  const outcomes = await Promise.all(
    [ask(), ask(), ask()].map((asked) => asked.catch((thrown: unknown) => AppError.from(thrown).code)),
  );
  expect(outcomes).not.toContain('upstream_timeout');
  expect(outcomes).toContain('upstream_budget_exhausted');
  // Whether the venue fails is not said by what it was not asked.
  const health = rig.client.health().find(({ exchange }) => exchange === TICKER.exchange);
  expect(health?.lastError).toBeNull();
});
