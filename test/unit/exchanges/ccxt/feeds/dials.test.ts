import { expect, it } from 'vitest';
import { forgetDials, paceDials } from '../../../../../src/exchanges/ccxt/feeds/connections.js';
import { loadExchangeClass } from '../../../../../src/exchanges/ccxt/loader.js';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';

const delayOf = (instance: CcxtExchange, url: string): number => {
  const calculate: unknown = Reflect.get(instance, 'calculateWsBackoffDelay');
  if (typeof calculate !== 'function') throw new Error('CCXT has no such method any more.');
  return Number(Reflect.apply(calculate, instance, [url]));
};

it('an address that never speaks is dialled ever less often although each URL has a token of its own', async () => {
  const kucoin = new (await loadExchangeClass('kucoin'))({});
  paceDials(kucoin);
  const delays = Array.from({ length: 8 }, (_, n) =>
    delayOf(kucoin, `wss://ws-api.test/endpoint?token=${n}&x=1`),
  );
  expect(delays[0]).toBe(0);
  expect(delays[1]).toBeGreaterThanOrEqual(200);
  expect(delays[1]).toBeLessThanOrEqual(300);
  expect(delays.at(-1)).toBe(5_000);
  // The next instance of the venue goes on with the same count, and data ends it.
  const successor = new (await loadExchangeClass('kucoin'))({});
  paceDials(successor);
  expect(delayOf(successor, 'wss://ws-api.test/endpoint?token=new')).toBe(5_000);
  forgetDials(['wss://ws-api.test/endpoint?token=other']);
  expect(delayOf(successor, 'wss://ws-api.test/endpoint?token=third')).toBe(0);
});
