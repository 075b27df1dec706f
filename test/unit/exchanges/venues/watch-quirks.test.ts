// What single venues' feeds need, put on CCXT's own classes.
import { describe, expect, it } from 'vitest';
import type { CcxtExchange, Method } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { correctedTicker } from '../../../../src/exchanges/venues/corrections.js';
import { applyWatchQuirks, watchQuirks } from '../../../../src/exchanges/venues/watch-quirks.js';

const instanceOf = async (exchange: string): Promise<CcxtExchange> =>
  new (await loadExchangeClass(exchange))({});
const call = (instance: CcxtExchange, name: string, ...args: unknown[]): unknown =>
  (Reflect.get(instance, name) as Method).call(instance, ...args);

describe("the name that Kraken's feeds have for a market", () => {
  it.each([
    ['XBT/USD', 'BTC/USD'],
    ['ETH/XBT', 'ETH/BTC'],
    ['XDG/USD', 'DOGE/USD'],
    ['SOL/USD', 'SOL/USD'],
  ])('%s: %s', (wsname, name) => {
    expect(watchQuirks('kraken').feedName?.({ info: { wsname } })).toBe(name);
  });

  it('is the unified one where the list of markets names none', () => {
    expect(watchQuirks('kraken').feedName?.({ info: {} })).toBeUndefined();
  });
});

describe('a venue of which nothing has to be known', () => {
  it('has the plain quirks, also where its name is that of a member of objects', () => {
    const plain = {
      bookParams: {},
      keyless: false,
      socketCapacity: null,
      feedName: null,
      subscribesByCode: false,
      frames: null,
    };
    expect(watchQuirks('gemini')).toEqual(plain);
    expect(watchQuirks('constructor')).toEqual(plain);
  });

  it('keeps trades for a loop that has not read yet, and asks for keys where CCXT does', async () => {
    const instance = await instanceOf('gemini');
    const authenticate: unknown = Reflect.get(instance, 'authenticate');
    expect(applyWatchQuirks(instance, 'gemini')).toBeNull();
    expect(instance.options['tradesLimit']).toBe(5000);
    expect(Reflect.get(instance, 'authenticate')).toBe(authenticate);
  });
});

it('Binance is given four sockets, each with fewer feeds than the 1024 streams that it takes', () => {
  expect(watchQuirks('binance').socketCapacity).toEqual({ sockets: 4, each: 1000 });
});

describe('frames of Binance', () => {
  const { frames } = watchQuirks('binance');
  const subscribe = (id: number, stream: string) => ({ method: 'SUBSCRIBE', params: [stream], id });

  it('are put together with those of their kind, under the id of the first', () => {
    expect(frames?.merge([subscribe(4, 'a'), subscribe(5, 'b')])).toEqual({
      ...{ method: 'SUBSCRIBE', params: ['a', 'b'] },
      id: 4,
    });
    expect(frames?.namesOf(subscribe(4, 'a'))).toEqual(['a']);
    expect(frames?.keyOf(subscribe(4, 'a'))).toBe('SUBSCRIBE');
    expect(frames?.keyOf({ ...subscribe(4, 'a'), method: 'UNSUBSCRIBE' })).toBe('UNSUBSCRIBE');
    expect(watchQuirks('binanceusdm').frames).toBe(frames);
  });

  it.each([
    [{ method: 'PING', id: 1 }],
    [{ method: 'SUBSCRIBE', params: ['a'] }],
    [{ method: 'SUBSCRIBE', id: 1 }],
  ])('do not include %j', (frame) => {
    expect(frames?.keyOf(frame)).toBeUndefined();
  });
});

it('public feeds for which CCXT would log in need no keys', async () => {
  const instance = await instanceOf('okx');
  expect(applyWatchQuirks(instance, 'okx')).not.toBeNull();
  expect(call(instance, 'authenticate')).toEqual({});
});

it("Gate's messages are read for their time before CCXT takes them apart", async () => {
  const instance = await instanceOf('gate');
  const seen: unknown[] = [];
  Reflect.set(instance, 'handleMessage', (_client: unknown, message: unknown) => seen.push(message));
  applyWatchQuirks(instance, 'gate');
  const info = { currency_pair: 'BTC_USDT' };
  const message = { channel: 'spot.tickers', time_ms: 1_764_206_270_368, result: info };
  call(instance, 'handleMessage', {}, message);
  expect(seen).toEqual([message]);
  expect(correctedTicker('gate', { timestamp: 1, info })).toMatchObject({ timestamp: 1_764_206_270_368 });
});

it("Binance's feeds are assigned to its sockets, Kraken's feeds are subscribed by Kraken's names", async () => {
  const [binance, kraken] = [await instanceOf('binance'), await instanceOf('kraken')];
  const [stream, watch] = [Reflect.get(binance, 'stream'), Reflect.get(kraken, 'watch')] as unknown[];
  applyWatchQuirks(binance, 'binance');
  applyWatchQuirks(kraken, 'kraken');
  expect(Reflect.get(binance, 'stream')).not.toBe(stream);
  expect(Reflect.get(kraken, 'watch')).not.toBe(watch);
});
