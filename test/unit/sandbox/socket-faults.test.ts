import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connect, NOON, sandboxAt, whileTicking, type Clock } from './ccxt-clients.js';

let sandbox: Sandbox;
let clock: Clock;
beforeEach(async () => {
  ({ sandbox, clock } = await sandboxAt(NOON));
});
afterEach(() => sandbox.close());

describe('faults of sockets', () => {
  const dial = (): WebSocket => new WebSocket(`${sandbox.wsUrl}/ws.kraken.com/v2`);
  const subscribe = (channel: string): string =>
    JSON.stringify({ method: 'subscribe', params: { channel, symbol: ['BTC/USD'] }, req_id: 1 });
  const frames = (socket: WebSocket): { channel?: string; method?: string }[] => {
    const seen: { channel?: string; method?: string }[] = [];
    socket.on('message', (data: Buffer) => seen.push(JSON.parse(data.toString()) as { channel?: string }));
    return seen;
  };

  test('an upgrade refused with a status', async () => {
    sandbox.control.setFault({ match: 'websocket', fault: { type: 'status', status: 503 } });
    const socket = dial();
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(503);
    expect(sandbox.control.requestLog()).toMatchObject([{ kind: 'websocket', status: 503, fault: 'status' }]);
  });

  test('an upgrade that hangs until the sandbox closes', async () => {
    sandbox.control.setFault({ match: 'websocket', fault: { type: 'hang' } });
    const socket = dial();
    const failed = once(socket, 'error');
    await expect.poll(() => sandbox.control.counters().requests, { interval: 5 }).toBe(1);
    await sandbox.close();
    await failed.catch(() => undefined);
    expect(socket.readyState).not.toBe(WebSocket.OPEN);
    ({ sandbox, clock } = await sandboxAt(NOON));
  });

  test('a socket closed with a code, or cut, after a while', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_close', ms: 5, code: 1013 }, times: 1 });
    expect((await once(dial(), 'close'))[0]).toBe(1013);
    sandbox.control.setFault({ fault: { type: 'ws_terminate', ms: 5 }, times: 1 });
    expect((await once(dial(), 'close'))[0]).toBe(1006);
  });

  test('a silent socket acknowledges and says no more', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_silent' } });
    const socket = dial();
    const seen = frames(socket);
    await once(socket, 'open');
    socket.send(subscribe('ticker'));
    socket.send('{"method":"ping"}');
    await whileTicking(
      clock,
      expect.poll(() => seen.some((frame) => frame.method === 'pong'), { interval: 5 }).toBe(true),
    );
    expect(seen.map((frame) => frame.channel ?? frame.method)).toEqual(['status', 'subscribe', 'pong']);
    socket.terminate();
  });

  test('a garbage frame comes first', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_garbage', frame: '<html>' } });
    const socket = dial();
    const [data] = (await once(socket, 'message')) as [Buffer];
    expect(data.toString()).toBe('<html>');
    socket.terminate();
  });

  test('a gap in the order book, which CCXT notices at Binance', async () => {
    const exchange = connect('binance', sandbox);
    await whileTicking(clock, exchange.watchOrderBook('BTC/USDT'));
    await whileTicking(clock, exchange.watchOrderBook('BTC/USDT'));
    expect(sandbox.control.sockets('binance', { action: 'gap' })).toBe(1);
    const error = await whileTicking(
      clock,
      (async () => {
        for (let i = 0; i < 20; i += 1) await exchange.watchOrderBook('BTC/USDT');
        return undefined;
      })().catch((reason: unknown) => reason),
    );
    expect((error as Error).constructor.name).toBe('ChecksumError');
    await exchange.close();
  });

  test('actions on open sockets: send, mute, unmute, close, terminate', async () => {
    const socket = dial();
    const seen = frames(socket);
    await expect.poll(() => seen.length, { interval: 5 }).toBe(1);
    sandbox.control.sockets('kraken', { action: 'send', frame: '{"channel":"mine"}' });
    sandbox.control.sockets('kraken', { action: 'mute' });
    sandbox.control.sockets('kraken', { action: 'send', frame: '{"channel":"lost"}' });
    sandbox.control.sockets(undefined, { action: 'unmute' });
    expect(sandbox.control.sockets('binance', { action: 'terminate' })).toBe(0);
    const closed = once(socket, 'close');
    sandbox.control.sockets('kraken', { action: 'close', code: 4001, reason: 'enough' });
    const [code, reason] = (await closed) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([4001, 'enough']);
    expect(seen.map((frame) => frame.channel)).toEqual(['status', 'mine']);
    const other = dial();
    await once(other, 'open');
    sandbox.control.sockets('kraken', { action: 'terminate' });
    expect((await once(other, 'close'))[0]).toBe(1006);
  });
});
