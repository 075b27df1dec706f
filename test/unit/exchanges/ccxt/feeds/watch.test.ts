import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noteAlive } from '../../../../../src/exchanges/ccxt/feeds/connections.js';
import { settle } from '../../../streams/fakes.js';
import { FakeExchange, SOCKET_URL, ticker, WatchRig } from './watch-rig.js';

let rig: WatchRig;
beforeEach(() => {
  rig = new WatchRig();
});
afterEach(() => rig.end());

describe('a watch loop', () => {
  it("asks CCXT once, and then waits for the next message itself where CCXT's table has what came", async () => {
    const { items, handle, ends } = rig.open();
    await settle();
    for (const last of [1, 2, 3]) {
      rig.exchange.tickers['BTC/USD'] = ticker(last);
      rig.exchange.socket.resolve('ticker@BTC/USD', 'whatever');
      await settle();
    }
    expect(items).toMatchObject([{ last: 1 }, { last: 2 }, { last: 3 }]);
    expect(rig.exchange.calls).toEqual(['ticker']);
    // Where CCXT has forgotten the subscription, waiting would be for ever.
    Reflect.deleteProperty(rig.exchange.socket.subscriptions, 'ticker@BTC/USD');
    rig.exchange.socket.resolve('ticker@BTC/USD', 'whatever');
    await settle();
    expect(rig.exchange.calls).toEqual(['ticker', 'ticker']);
    // As well on a socket that is no more.
    Reflect.deleteProperty(rig.exchange.clients, SOCKET_URL);
    rig.exchange.socket.resolve('ticker@BTC/USD', 'whatever');
    await settle();
    expect(rig.exchange.calls).toEqual(['ticker', 'ticker', 'ticker']);
    rig.exchange.clients[SOCKET_URL] = rig.exchange.socket;
    rig.exchange.socket.resolve('ticker@BTC/USD', 'whatever');
    await settle();
    rig.exchange.socket.reject(new Error('gone'), 'ticker@BTC/USD');
    await settle();
    expect(ends).toMatchObject([{ message: 'gone' }]);
    handle.close();
  });

  it('asks CCXT for every message whose result is in no table', async () => {
    rig.open({ channel: 'trades' });
    await settle();
    for (let round = 0; round < 2; round++) {
      rig.exchange.socket.resolve('trade@BTC/USD', []);
      await settle();
    }
    expect(rig.exchange.calls).toEqual(['trade', 'trade', 'trade']);
  });

  it('subscribes once, unsubscribes when it is closed, and leaves nothing that waits', async () => {
    const { ends, handle } = rig.open();
    await settle();
    rig.exchange.socket.resolve('ticker@BTC/USD', ticker(1));
    await settle();
    handle.close();
    handle.close();
    await settle();
    expect(rig.exchange.socket.sent).toEqual([
      { method: 'subscribe', params: { channel: 'ticker', symbol: 'BTC/USD' } },
      { method: 'unsubscribe', params: { channel: 'ticker', symbol: 'BTC/USD' } },
    ]);
    expect(rig.exchange.socket.subscriptions).toEqual({});
    expect(rig.exchange.socket.futures).toEqual({});
    expect(rig.exchange.socket.rejections).toEqual([]);
    expect(ends).toEqual([null]);
    // The last feed of an instance has left.
    expect(rig.discarded).toBe(1);
  });

  it('that is closed before its subscription could leave never subscribes, and the next one does', async () => {
    let open = (): void => undefined;
    rig.exchange.open = new Promise((resolve) => (open = resolve));
    rig.open({ symbol: 'ETH/USD' });
    const { handle } = rig.open();
    await settle();
    handle.close();
    const again = rig.open();
    await settle();
    open();
    await settle();
    expect(rig.exchange.socket.sent).toEqual([
      { method: 'subscribe', params: { channel: 'ticker', symbol: 'ETH/USD' } },
      { method: 'subscribe', params: { channel: 'ticker', symbol: 'BTC/USD' } },
    ]);
    again.handle.close();
    await settle();
    expect(rig.exchange.socket.sent.at(-1)).toEqual({
      method: 'unsubscribe',
      params: { channel: 'ticker', symbol: 'BTC/USD' },
    });
  });

  it('ends with its fault and can be opened again on the same instance', async () => {
    const beside = rig.open({ symbol: 'ETH/USD' });
    const { ends } = rig.open();
    await settle();
    rig.exchange.socket.reject(new Error('refused'), 'ticker@BTC/USD');
    await settle();
    expect(ends).toMatchObject([{ code: 'upstream_unavailable' }]);
    expect(rig.discarded).toBe(0);
    const again = rig.open();
    await settle();
    rig.exchange.socket.resolve('ticker@BTC/USD', ticker(7));
    await settle();
    expect(again.items).toMatchObject([{ last: 7 }]);
    expect(beside.ends).toEqual([]);
  });

  it('ends alone when it was silent while others received items, and discards the instance when all were silent', async () => {
    rig.open({ symbol: 'ETH/USD' });
    const stuck = rig.open();
    await settle();
    rig.exchange.socket.resolve('ticker@ETH/USD', ticker(1));
    await rig.time.advance(10_000);
    stuck.handle.close();
    expect(rig.discarded).toBe(0);
    const alsoStuck = rig.open();
    await rig.time.advance(10_000);
    alsoStuck.handle.close();
    expect(rig.discarded).toBe(1);
    // One that is closed soon says nothing about the instance.
    const brief = rig.open();
    await settle();
    brief.handle.close();
    expect(rig.discarded).toBe(1);
  });

  it('keeps an instance whose connection answers, though none of its feeds has received anything', async () => {
    const beside = rig.open({ channel: 'trades', symbol: 'ETH/USD' });
    const silent = rig.open();
    await settle();
    noteAlive(rig.exchange.socket, rig.time.monotonic);
    await rig.time.advance(10_000);
    silent.handle.close();
    expect(rig.discarded).toBe(0);
    expect(beside.ends).toEqual([]);
    // Its last sign of life is too long ago.
    const later = rig.open();
    await rig.time.advance(20_000);
    later.handle.close();
    expect(rig.discarded).toBe(1);
  });

  it('that is closed before CCXT subscribed subscribes nothing, and a new one does not inherit its state', async () => {
    rig.open().handle.close();
    await settle();
    expect(rig.exchange.socket.subscriptions).toEqual({});
    expect(rig.exchange.socket.sent).toEqual([]);
    const { handle } = rig.open();
    await settle();
    expect(Object.keys(rig.exchange.socket.futures)).toEqual(['ticker@BTC/USD']);
    handle.close();
    expect(rig.exchange.socket.futures).toEqual({});
    expect(rig.exchange.socket.subscriptions).toEqual({});
  });

  it('leaves alone what CCXT asks for on a socket that it dialled, also once it has ended', async () => {
    const dialler = rig.open();
    await settle();
    rig.open({ symbol: 'ETH/USD' });
    await settle();
    dialler.handle.close();
    const snapshot = rig.exchange.askForSnapshot!();
    await settle();
    expect(rig.exchange.socket.sent.at(-1)).toEqual({ action: 'getBook' });
    rig.exchange.socket.resolve('snapshot', 'a book');
    expect(await snapshot).toBe('a book');
    // It is nobody's subscription, to be undone with a feed.
    expect(Object.keys(rig.exchange.socket.subscriptions)).toEqual(['ticker@ETH/USD', 'snapshot']);
  });

  it('dials less and less often until data comes, by a count that outlives the instance', async () => {
    rig.open();
    const { ws } = rig.exchange.options as { ws: { cost: number; backoffState: Record<string, unknown> } };
    expect(ws.cost).toBe(2);
    ws.backoffState[SOCKET_URL] = { attempts: 3 };
    await settle();
    rig.exchange = new FakeExchange();
    rig.open();
    const later = rig.exchange.options as { ws: { backoffState: Record<string, unknown> } };
    expect(later.ws.backoffState[SOCKET_URL]).toEqual({ attempts: 3 });
    await settle();
    rig.exchange.socket.resolve('ticker@BTC/USD', ticker(1));
    await settle();
    expect(later.ws.backoffState[SOCKET_URL]).toBeUndefined();
  });
});
