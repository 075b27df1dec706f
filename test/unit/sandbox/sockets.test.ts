// The sandbox's WebSocket side: upgrades and their faults, heartbeats, pings, silence.
import { once } from 'node:events';
import { type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Fault } from '../../../src/sandbox/faults.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { NOON, sandboxAt, whileTicking, type Clock } from './ccxt-clients.js';
import { openFeed } from './feed-client.js';

let sandbox: Sandbox;
let clock: Clock;
beforeEach(async () => {
  // Before anything listens: the beat of the sockets is moved by hand.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  ({ sandbox, clock } = await sandboxAt(NOON, { ticksPerSecond: 0 }));
});
afterEach(async () => {
  await sandbox.close();
  vi.useRealTimers();
});

const KRAKEN = 'ws.kraken.com/v2';
const subscribe = (channel: string) => ({ method: 'subscribe', params: { channel, symbol: ['BTC/USD'] } });

/** The status and body of a refused upgrade. */
const refusal = async (path: string): Promise<{ status: number; body: string }> => {
  const socket = new WebSocket(`${sandbox.wsUrl}/${path}`);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
};

describe('an upgrade', () => {
  test('at a host without a feed is a 404', async () => {
    expect(await refusal('ws.nowhere.example/v2')).toEqual({
      status: 404,
      body: '{"error":"no simulated feed here, or too many sockets"}',
    });
    expect(sandbox.control.counters().requests).toBe(0);
  });

  test.each<[Fault, number, string]>([
    [{ type: 'status', status: 429 }, 429, ''],
    [{ type: 'status', status: 503, body: '{"x":1}' }, 503, '{"x":1}'],
    [{ type: 'html' }, 200, '<!DOCTYPE html><html></html>'],
    [{ type: 'empty' }, 200, ''],
    [{ type: 'venue_error', name: 'geo_block' }, 403, ''],
  ])('that meets %j is answered, not upgraded', async (fault, status, body) => {
    sandbox.control.setFault({ match: 'websocket', fault });
    expect(await refusal(KRAKEN)).toEqual({ status, body });
    expect(sandbox.control.requestLog()).toMatchObject([{ kind: 'websocket', status, fault: fault.type }]);
  });

  test('may be reset, or stall for ever', async () => {
    sandbox.control.setFault({ match: 'websocket', fault: { type: 'reset' }, times: 1 });
    const [error] = (await once(new WebSocket(`${sandbox.wsUrl}/${KRAKEN}`), 'error')) as [
      NodeJS.ErrnoException,
    ];
    expect(error.code).toBe('ECONNRESET');
    sandbox.control.setFault({ match: 'websocket', fault: { type: 'stall' } });
    const socket = new WebSocket(`${sandbox.wsUrl}/${KRAKEN}`);
    const failed = once(socket, 'error');
    await expect.poll(() => sandbox.control.requestLog().length, { interval: 3 }).toBe(2);
    expect(sandbox.control.requestLog()).toMatchObject([
      { status: 0, fault: 'reset' },
      { status: 0, fault: 'stall' },
    ]);
    socket.terminate();
    await failed;
  });

  test('may come late', async () => {
    sandbox.control.setFault({ match: 'websocket', fault: { type: 'delay', ms: 30 } });
    const before = performance.now();
    const feed = await openFeed(sandbox, KRAKEN);
    expect(performance.now() - before).toBeGreaterThanOrEqual(25);
    expect(await feed.frame({ channel: 'status' })).toBeDefined();
  });

  test('meets a fault of answers that it cannot have as if there were none', async () => {
    sandbox.control.setFault({ match: 'websocket', fault: { type: 'truncate' } });
    const feed = await openFeed(sandbox, KRAKEN);
    expect(await feed.frame({ channel: 'status' })).toBeDefined();
  });
});

describe('an open socket', () => {
  test('closes with 1001 unless the fault names a code', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_close', ms: 1 } });
    const [code] = (await once(new WebSocket(`${sandbox.wsUrl}/${KRAKEN}`), 'close')) as [number];
    expect(code).toBe(1001);
  });

  test('gets a frame that is no JSON first', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_garbage' } });
    const feed = await openFeed(sandbox, KRAKEN);
    await feed.frame({ channel: 'status' });
    expect(feed.frames[0]).toEqual({ text: '<garbage>{"not":' });
  });

  test('falls silent: no acknowledgements, no pongs', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_mute', ms: 0 } });
    const feed = await openFeed(sandbox, KRAKEN);
    await expect.poll(() => sandbox.control.listSockets(), { interval: 3 }).toMatchObject([{ muted: true }]);
    const pongs: unknown[] = [];
    feed.socket.on('pong', (data) => pongs.push(data));
    feed.socket.ping();
    feed.send({ method: 'ping', req_id: 1 });
    // Frames are taken in order: once it has agreed to close, it has passed over what came before.
    const closed = once(feed.socket, 'close');
    feed.socket.close(1000);
    await closed;
    expect(pongs).toEqual([]);
    expect(feed.frames.filter((frame) => 'req_id' in frame)).toEqual([]);
  });

  test('takes no command while it is muted', async () => {
    const muted = await openFeed(sandbox, KRAKEN);
    const other = await openFeed(sandbox, 'stream.binance.com/ws');
    sandbox.control.sockets('kraken', { action: 'mute' });
    muted.send(subscribe('ticker'));
    // Two round trips elsewhere: the command has been read by their end.
    for (let i = 0; i < 2; i += 1) {
      const pong = once(other.socket, 'pong');
      other.socket.ping();
      await pong;
    }
    sandbox.control.sockets('kraken', { action: 'unmute' });
    muted.send({ method: 'ping', req_id: 7 });
    await muted.frame({ req_id: 7 });
    expect(muted.frames.map(({ channel, method }) => channel ?? method)).toEqual(['status', 'pong']);
    expect(sandbox.control.counters().channels).toBe(0);
  });

  test('loses the second update of a book', async () => {
    sandbox.control.setFault({ fault: { type: 'ws_gap' } });
    const feed = await openFeed(sandbox, 'ws-feed.exchange.coinbase.com');
    vi.useRealTimers();
    sandbox.control.setTickRate(10);
    feed.send({ type: 'subscribe', product_ids: ['BTC-USD'], channels: ['level2_batch'] });
    await feed.frame({ type: 'snapshot' });
    const updates = () => feed.frames.filter(({ type }) => type === 'l2update');
    await whileTicking(clock, expect.poll(() => updates().length, { interval: 3 }).toBeGreaterThan(2));
    // What stands in its place: one bid among the asks.
    expect(updates()[1]?.['changes']).toMatchObject([['buy', expect.any(String), expect.any(String)]]);
    feed.close();
  });

  test('is told to be alive once a second while it is quiet and has channels, on Kraken only', async () => {
    const [kraken, idle, binance] = await Promise.all([
      openFeed(sandbox, KRAKEN),
      openFeed(sandbox, KRAKEN),
      openFeed(sandbox, 'stream.binance.com/ws/btcusdt@ticker'),
    ]);
    kraken.send(subscribe('ticker'));
    await kraken.frame({ channel: 'ticker' });
    vi.advanceTimersByTime(1_000);
    clock.now += 1_000;
    vi.advanceTimersByTime(1_000);
    await kraken.frame({ channel: 'heartbeat' });
    kraken.send({ method: 'ping', req_id: 5 });
    await kraken.frame({ req_id: 5 });
    expect(kraken.frames.filter(({ channel }) => channel === 'heartbeat')).toEqual([
      { channel: 'heartbeat' },
    ]);
    expect(idle.frames.map(({ channel }) => channel)).toEqual(['status']);
    expect(binance.frames).toEqual([]);
  });

  test('is pinged every twenty seconds, and its own pings are answered', async () => {
    const feed = await openFeed(sandbox, KRAKEN);
    const pinged = once(feed.socket, 'ping');
    vi.advanceTimersByTime(20_000);
    await pinged;
    const answered = once(feed.socket, 'pong');
    feed.socket.ping('mine');
    expect(String((await answered)[0])).toBe('mine');
  });

  test('leaves the others their beat when it ends', async () => {
    const [one, two] = [await openFeed(sandbox, KRAKEN), await openFeed(sandbox, KRAKEN)];
    one.close();
    await expect.poll(() => sandbox.control.counters().sockets, { interval: 3 }).toBe(1);
    const pinged = once(two.socket, 'ping');
    vi.advanceTimersByTime(20_000);
    await pinged;
    two.close();
    await expect.poll(() => sandbox.control.counters().sockets, { interval: 3 }).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
