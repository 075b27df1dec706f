import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import type { StreamTopic } from '../../../../src/exchanges/exchange-client.js';
import { Connection } from '../../../../src/exchanges/worker/connection.js';
import { serveWorker } from '../../../../src/exchanges/worker/serve-worker.js';
import { FakeVenue, answer, recordingSink, tickerItem, turns } from './fake-venue.js';

const topic: StreamTopic = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' };
const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

const connect = (venue = new FakeVenue()) => {
  const { port1, port2 } = new MessageChannel();
  closers.push(() => port1.close());
  const lines: unknown[][] = [];
  const served = serveWorker({
    port: port2,
    monotonic: Date.now,
    threadStats: () => ({ memoryBytes: 1, eventLoopDelayP99Ms: 2, unhandledRejections: 3 }),
    createClient: (hooks) => {
      venue.hooks = hooks;
      return venue.client;
    },
  });
  const connection = new Connection({
    worker: {
      on: (event: string, listener: (value: never) => void) => {
        if (event === 'message') port1.on('message', listener as (value: unknown) => void);
      },
      postMessage: (message) => port1.postMessage(message),
      terminate: async () => Promise.reject(new Error('already gone')),
    },
    onGateChange: () => undefined,
    onLog: (...line) => void lines.push(line),
    onDeath: () => undefined,
  });
  return { venue, served, connection, lines };
};

describe('the worker’s side', () => {
  it('reports health, threadStats and, when asked, gates', async () => {
    const { connection } = connect();
    expect(await connection.rpc.$call('report', true)).toEqual({
      health: [],
      gates: [],
      memoryBytes: 1,
      eventLoopDelayP99Ms: 2,
      unhandledRejections: 3,
    });
  });

  it('ends a feed that could not be opened, or that ends while it is opened', async () => {
    const { connection, venue } = connect();
    const [thrown, ended] = [recordingSink(), recordingSink()];
    venue.onWatch = () => {
      throw new AppError('not_supported_by_exchange', 'no feeds');
    };
    connection.addWatch(1, thrown);
    connection.send('watch', 1, topic);
    await turns();
    venue.onWatch = (sink) => sink.onEnd(null);
    connection.addWatch(2, ended);
    connection.send('watch', 2, topic);
    await turns();
    expect(thrown.ends).toMatchObject([{ code: 'not_supported_by_exchange' }]);
    expect(ended.ends).toEqual([null]);
    expect(venue.watches[1]!.closed).toBe(1);
  });

  it('sends items of many messages in few batches', async () => {
    const { connection, venue } = connect();
    const sink = recordingSink();
    connection.addWatch(1, sink);
    connection.send('watch', 1, topic);
    await turns();
    for (let last = 1; last <= 500; last += 1) venue.watches[0]!.sink.onItem(tickerItem(last));
    await turns();
    expect(sink.items).toEqual([tickerItem(500)]);
  });

  it('ends a feed whose trades outrun their reader', async () => {
    const { connection, venue } = connect();
    const sink = recordingSink();
    connection.addWatch(1, sink);
    connection.send('watch', 1, { ...topic, channel: 'trades' });
    await turns();
    for (let i = 0; i <= 2001; i += 1) venue.watches[0]!.sink.onItem({ channel: 'trades', trades: [] });
    await turns();
    expect(sink.ends).toMatchObject([{ code: 'overloaded' }]);
    expect(venue.watches[0]!.closed).toBe(1);
  });

  it('logs what cannot be sent rather than falling over it', async () => {
    const { connection, venue, lines } = connect();
    venue.onFetch = async () =>
      Promise.resolve({ ...answer('x'), symbol: (() => 'not cloneable') as unknown as string });
    const call = connection.rpc.$call(
      'fetch',
      1,
      { kind: 'ticker', ...topic },
      { deadline: 1, priority: 'caller' },
    );
    await expect(call).rejects.toThrow();
    await turns();
    expect(lines).toContainEqual([
      'error',
      expect.anything(),
      'a message to the serving thread could not be sent',
    ]);
  });

  it('logs details that no port would carry as text', async () => {
    const { lines, venue } = connect();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    venue.hooks!.log.warn({ err: new TypeError('bad'), cycle, call: () => 1, list: [1], none: null }, 'odd');
    await turns();
    expect(lines).toEqual([
      [
        'warn',
        {
          err: { type: 'TypeError', message: 'bad', stack: expect.any(String) },
          cycle: '(object)',
          call: '(function)',
          list: [1],
          none: null,
        },
        'odd',
      ],
    ]);
  });

  it('aborts its calls and closes its client when it is closed', async () => {
    const { connection, venue, served } = connect();
    venue.onFetch = (_, { signal }) =>
      new Promise((__, reject) =>
        signal!.addEventListener('abort', () => reject(signal!.reason as Error), { once: true }),
      );
    const reply = connection.rpc.$call(
      'fetch',
      1,
      { kind: 'ticker', ...topic },
      { deadline: 1, priority: 'caller' },
    );
    await turns();
    await served.close();
    expect(await reply).toMatchObject({ ok: false, error: { code: 'shutting_down' } });
    expect(venue.closed).toBe(1);
    connection.send('abort', 99); // a call that is no more
  });
});

describe('the serving thread’s side', () => {
  it('ends once, and takes no harm from a thread that is gone', async () => {
    const { connection } = connect();
    const sink = recordingSink();
    connection.addWatch(1, sink);
    const gone = new AppError('upstream_unavailable', 'gone');
    const pending = connection.rpc.$call('report', false);
    connection.end(gone);
    connection.end(gone);
    connection.send('taken', 1);
    connection.closeWatch(1);
    await expect(pending).rejects.toBe(gone);
    expect(sink.ends).toEqual([gone]);
  });
});
