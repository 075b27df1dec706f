// The instance of an exchange's feeds: it follows the market lists, is closed once with the client or when it is given up.
import { expect, it } from 'vitest';
import type { CcxtExchange } from '../../../src/exchanges/ccxt/ccxt-exchange.js';
import type { OpenWatch } from '../../../src/exchanges/ccxt/feeds/venue-watch.js';
import { NOW, startVenues } from './venue-fixture.js';

/** Venues whose feeds do nothing, and the instances that they were opened on with the number of their ends. */
const startFeeds = async () => {
  const instances: { readonly ccxt: CcxtExchange; closed: number; discard: () => void }[] = [];
  const openWatch: OpenWatch = (ccxt, _topic, ...[, deps]) => {
    const entry = { ccxt, closed: 0, discard: () => deps.discardInstance() };
    const close = ccxt.close.bind(ccxt);
    ccxt.close = () => {
      entry.closed += 1;
      return close();
    };
    instances.push(entry);
    return { close: () => undefined };
  };
  const here = await startVenues({ openWatch });
  const sink = { onItem: () => undefined, onEnd: () => undefined };
  here.venues.watch({ channel: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' }, sink);
  await expect.poll(() => instances.length, { timeout: 10_000 }).toBe(1);
  const [first] = instances;
  if (first === undefined) throw new Error('no feed was opened');
  return { here, first };
};

it('is closed with its client', async () => {
  const { here, first } = await startFeeds();
  expect(first.closed).toBe(0);
  await here.close();
  expect(first.closed).toBe(1);
});

it('is closed when its feed gives it up', async () => {
  const { here, first } = await startFeeds();
  first.discard();
  first.discard();
  expect(first.closed).toBe(1);
  await here.close();
  expect(first.closed).toBe(1);
});

it('gets the markets of a later load', async () => {
  const { here, first } = await startFeeds();
  const before = first.ccxt.markets;
  here.moveTo(NOW + 3_600_000);
  // A symbol that no list has: it may be new, so the list is loaded again.
  expect(await here.refusal({ kind: 'ticker', exchange: 'kraken', symbol: 'NEW/USD' })).toMatchObject({
    code: 'symbol_not_found',
  });
  expect(first.ccxt.markets).toHaveProperty('BTC/USD');
  expect(first.ccxt.markets).not.toBe(before);
  await here.close();
});
