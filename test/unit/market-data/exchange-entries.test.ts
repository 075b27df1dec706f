/** The list of exchanges, whatever becomes of one of them. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { closeRig, useClock, rig, open } from './rig.js';

beforeEach(useClock);
afterEach(closeRig);

describe('the list of exchanges', () => {
  it('names each as it was enabled, with its CCXT id', async () => {
    open();
    const list = await rig.marketData.exchanges();
    expect(list.map(({ id, ccxt_id }) => [id, ccxt_id])).toEqual([
      ['binance', 'binance'],
      ['kraken', 'kraken'],
      ['coinbasepro', 'coinbaseexchange'],
    ]);
    expect(list[0]).toMatchObject({
      name: 'BINANCE',
      intervals: ['1m', '1h'],
      capabilities: { ticker: true },
    });
  });

  it('keeps an entry while the exchange is described the same, and follows what is learnt of it', async () => {
    open();
    const described = new Map(
      await Promise.all(
        ['binance', 'kraken', 'coinbaseexchange'].map(
          async (exchange) => [exchange, await rig.exchanges.describe(exchange)] as const,
        ),
      ),
    );
    rig.exchanges.describe = (exchange) => Promise.resolve(described.get(exchange)!);
    const before = await rig.marketData.exchanges();
    const unchanged = await rig.marketData.exchanges();
    expect(unchanged.every((entry, index) => entry === before[index])).toBe(true);
    const kraken = described.get('kraken')!;
    described.set('kraken', { ...kraken, capabilities: { ...kraken.capabilities, trades: false } });
    const after = await rig.marketData.exchanges();
    expect(after.map(({ capabilities }) => capabilities?.trades)).toEqual([true, false, true]);
  });

  it('has one without capabilities in the place of an exchange that does not answer, and asks it again later', async () => {
    open();
    const described = rig.exchanges.describe.bind(rig.exchanges);
    rig.exchanges.describe = (exchange) =>
      exchange === 'kraken' ? new Promise(() => undefined) : described(exchange);
    const listing = rig.marketData.exchanges();
    await vi.advanceTimersByTimeAsync(2_000);
    const capabilities = async () =>
      (await rig.marketData.exchanges()).map((entry) => entry.capabilities?.ticker ?? null);
    expect((await listing).map(({ id }) => id)).toEqual(['binance', 'kraken', 'coinbasepro']);
    expect(await capabilities()).toEqual([true, null, true]);
    rig.exchanges.describe = described;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await capabilities()).toEqual([true, true, true]);
  });
});
