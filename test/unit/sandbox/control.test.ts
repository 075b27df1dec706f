import { once } from 'node:events';
import { request } from 'node:http';
import { loadConfig } from '../../../src/config/config.js';
import { startSandbox as startSandboxOf } from '../../../src/app/drivers.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { NOON, sandboxAt, whileTicking, type Clock } from './ccxt-clients.js';

let sandbox: Sandbox;
let clock: Clock;
beforeAll(async () => {
  ({ sandbox, clock } = await sandboxAt(NOON, { marketsPerVenue: 40 }));
});
afterAll(() => sandbox.close());

async function call(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const init = { method, ...(body === undefined ? {} : json) };
  const answer = await fetch(`${sandbox.url}/_control/${path}`, init);
  return { status: answer.status, body: await answer.json() };
}

describe('the control API', () => {
  test('sets, lists and clears faults, and shows the requests they met', async () => {
    const rule = { venue: 'kraken', match: 'ticker', fault: { type: 'status', status: 503 }, times: 1 };
    expect(await call('POST', 'faults', rule)).toEqual({ status: 200, body: { id: 1 } });
    expect(await call('GET', 'faults')).toMatchObject({ body: { faults: [rule] } });
    expect((await fetch(`${sandbox.url}/api.kraken.com/0/public/Ticker?pair=XBTUSD`)).status).toBe(503);
    expect(await call('GET', 'requests')).toMatchObject({
      body: { requests: [{ venue: 'kraken', kind: 'ticker', status: 503, fault: 'status' }] },
    });
    await call('POST', 'faults', { fault: { type: 'hang' } });
    expect(await call('DELETE', 'faults')).toMatchObject({ body: { ok: true } });
    expect(await call('DELETE', 'requests')).toMatchObject({ body: { ok: true } });
    expect(await call('GET', 'state')).toMatchObject({
      body: { now: NOON, faults: [], sockets: [], counters: { requests: 0 } },
    });
  });

  test.each([
    ['faults', { fault: { type: 'nonsense' } }, 'type must be one of'],
    ['faults', { fault: { type: 'delay' } }, 'ms must be a number'],
    ['faults', { fault: { type: 'hang', ms: 1 } }, 'has no field "ms"'],
    ['faults', { fault: { type: 'candles_short' } }, 'rows must be a number from 1'],
    [
      'faults',
      { fault: { type: 'candles_short', rows: 5, keep: 'some' } },
      'keep must be one of latest, first',
    ],
    ['faults', { fault: { type: 'candles_hole', from: 'now' } }, 'from must be a number from 0'],
    ['faults', { venue: 'mtgox', fault: { type: 'hang' } }, 'venue must be one of'],
    ['faults', { fault: { type: 'status', status: 429, retryAfter: 'soon' } }, 'retryAfter'],
    ['faults', { fault: { type: 'venue_error', name: 'x' } }, 'name must be one of'],
    ['faults', { fault: { type: 'ws_close', ms: 1, code: 1005 } }, 'code must be one'],
    ['faults', { fault: { type: 'ws_close', ms: 1, code: 'x' } }, 'code must be a number'],
    ['faults', { fault: { type: 'ws_garbage', frame: 7 } }, 'frame must be a string'],
    ['sockets', { action: 'close', code: 2000 }, 'code must be one'],
    ['faults', { fault: { type: 'ws_close', ms: 1, code: 1000.5 } }, 'code must be one'],
    ['faults', { fault: { type: 'candles_moved', ms: 1e12 } }, 'ms must be a number from -2678400000'],
    ['faults', { fault: { type: 'candles_too_old', before: -1 } }, 'before must be a number from 0'],
    ['faults', { fault: { type: 'candles_too_old', before: 1 } }, 'message must be a string'],
    ['faults', { fault: { type: 'reset', at: 'noon' } }, 'at must be one of headers, body'],
    ['faults', { fault: { type: 'status', status: 503, body: 7 } }, 'body must be a string'],
    ['faults', { fault: { type: 'status', status: 503, headers: ['x'] } }, 'headers must be an object'],
    ['faults', { fault: { type: 'status', status: 503, headers: { x: 7 } } }, 'x must be a string'],
    ['faults', { fault: { type: 'status', status: 429, retryAfter: true } }, 'retryAfter must be'],
    ['faults', { fault: { type: 'hang' }, probability: 2 }, 'probability must be a number from 0 to 1'],
    ['faults', { fault: { type: 'hang' }, times: 0 }, 'times must be a number from 1'],
    ['faults', { fault: { type: 'hang' }, when: 'now' }, 'fault rule has no field "when"'],
    ['sockets', { action: 'book', fault: 'explode' }, 'fault must be one of lose, repeat'],
    ['sockets', { action: 'book', fault: 'lose', channel: 7 }, 'channel must be a string'],
    ['sockets', { action: 'close', reason: 7 }, 'reason must be a string'],
    ['faults', 7, 'must be an object'],
    ['sockets', { action: 'explode' }, 'action must be one of'],
    ['sockets', { action: 'send' }, 'frame must be a string'],
    ['ticks', { perSecond: -1 }, 'perSecond must be a number'],
    ['ticks', { perSecond: 1, venue: 'kraken', symbol: 'NO/PE' }, 'does not list'],
  ])('refuses POST %s %j', async (path, body, message) => {
    const answer = await call('POST', path, body);
    expect(answer).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining(message) as string },
    });
  });

  test.each([
    { fault: { type: 'ws_close', ms: 1 } },
    { fault: { type: 'ws_close', ms: 1, code: 3000 } },
    { fault: { type: 'candles_moved', ms: -28_800_000 } },
    { fault: { type: 'reset', at: 'body' } },
    { fault: { type: 'status', status: 429, body: 'x', headers: { x: 'y' }, retryAfter: 'http-date:30' } },
    { fault: { type: 'status', status: 429, retryAfter: 3 } },
    { fault: { type: 'hang' }, probability: 0.5, times: 2 },
  ])('takes the rule %j', async (rule) => {
    expect((await call('POST', 'faults', rule)).status).toBe(200);
    expect(sandbox.control.faults()).toMatchObject([rule]);
    sandbox.control.clearFaults();
  });

  test.each([
    { action: 'book', fault: 'lose' },
    { action: 'book', fault: 'ghost', channel: 'BTC' },
    { action: 'close' },
    { action: 'close', code: 1013, reason: 'busy' },
    { action: 'gap', venue: 'kraken' },
  ])('takes the action %j', async (action) => {
    expect(await call('POST', 'sockets', action)).toEqual({ status: 200, body: { sockets: 0 } });
  });

  test('sets the rate of a whole venue', async () => {
    expect((await call('POST', 'ticks', { perSecond: 3, venue: 'kraken' })).status).toBe(200);
  });

  test('has its state at its root as well', async () => {
    expect((await call('GET', '')).body).toEqual((await call('GET', 'state')).body);
  });

  test('refuses a body of more than 1 MB', async () => {
    expect(await call('POST', 'faults', { match: 'x'.repeat(1_000_001) })).toEqual({
      status: 400,
      body: { error: 'body too large' },
    });
  });

  test.each([
    ['truth/ticker?venue=kraken', 'kraken does not list '],
    ['truth/book?venue=kraken&symbol=BTC/USD&depth=many', 'depth must be a number'],
    ['truth/candles?venue=kraken&symbol=BTC/USD&interval=7x', 'no interval 7x'],
    ['truth/candles?venue=kraken&symbol=BTC/USD&interval=0m', 'no interval 0m'],
  ])('refuses GET %s', async (path, error) => {
    expect(await call('GET', path)).toEqual({ status: 400, body: { error } });
  });

  test('has no other routes', async () => {
    expect((await call('GET', 'nothing')).status).toBe(404);
  });

  test('tells the truth to other programs', async () => {
    const at = `venue=kraken&symbol=BTC/USD&time=${NOON}`;
    expect((await call('GET', `truth/ticker?${at}`)).body).toEqual(
      sandbox.market.ticker('kraken', 'BTC/USD', NOON),
    );
    expect((await call('GET', `truth/book?${at}&depth=5`)).body).toEqual(
      sandbox.market.book('kraken', 'BTC/USD', { time: NOON, depth: 5 }),
    );
    const from = NOON - 600_000;
    const range = { interval: '1m', from, to: NOON, now: NOON };
    expect((await call('GET', `truth/candles?${at}&from=${from}`)).body).toEqual({
      candles: sandbox.market.candles('kraken', 'BTC/USD', range),
    });
    expect((await call('GET', `truth/trades?${at}&from=${NOON - 1000}`)).body).toMatchObject({
      trades: { length: 11 },
    });
    expect((await call('GET', 'truth/markets?venue=kraken')).body).toMatchObject({ symbols: { length: 40 } });
    expect((await call('GET', 'truth/ticker?venue=kraken&symbol=NO/PE')).status).toBe(400);
    expect((await call('GET', 'truth/ticker?venue=mtgox')).status).toBe(400);
  });

  test('sets the rate of ticks and acts on sockets', async () => {
    const socket = new WebSocket(`${sandbox.wsUrl}/stream.binance.com/stream?streams=btcusdt@ticker`);
    const frames: { stream: string }[] = [];
    socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as { stream: string }));
    await once(socket, 'open');
    await call('POST', 'ticks', { perSecond: 0, venue: 'binance', symbol: 'BTC/USDT' });
    clock.now += 10_000;
    await call('GET', 'state');
    expect(frames).toEqual([]);
    await call('POST', 'ticks', { perSecond: 10 });
    await whileTicking(clock, expect.poll(() => frames.length, { interval: 5 }).toBeGreaterThan(3));
    expect(frames[0]).toMatchObject({ stream: 'btcusdt@ticker', data: { e: '24hrTicker', s: 'BTCUSDT' } });
    const closed = once(socket, 'close');
    expect(await call('POST', 'sockets', { venue: 'binance', action: 'terminate' })).toMatchObject({
      body: { sockets: 1 },
    });
    await closed;
    expect(sandbox.control.counters().framesSent).toBeGreaterThan(3);
  });
});

describe('what a page or a mistake could send', () => {
  const raw = (path: string, init: { method?: string; headers: Record<string, string>; body?: string }) =>
    new Promise<number>((resolve, reject) => {
      const { method = 'GET', headers, body } = init;
      request(`${sandbox.url}/_control/${path}`, { method, headers }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
      })
        .once('error', reject)
        .end(body);
    });
  const JSON_TYPE = { 'content-type': 'application/json' };

  test.each([
    ['a name that is not this machine', 'state', { headers: { host: 'evil.example' } }],
    ['a page of another origin', 'state', { headers: { origin: 'https://evil.example' } }],
    [
      'a form',
      'ticks',
      { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{"perSecond":1}' },
    ],
    ['a body without a type', 'ticks', { method: 'POST', headers: {}, body: '{"perSecond":1}' }],
    [
      'a foreign page with JSON',
      'ticks',
      { method: 'POST', headers: { ...JSON_TYPE, origin: 'null' }, body: '{}' },
    ],
  ])('%s is refused with 403', async (_name, path, init) => {
    expect(await raw(path, init)).toBe(403);
  });

  test('a local page and a local program are served', async () => {
    expect(await raw('state', { headers: { origin: 'http://localhost:3000' } })).toBe(200);
    expect(await raw('ticks', { method: 'POST', headers: JSON_TYPE, body: '{"perSecond":0}' })).toBe(200);
  });

  test.each([
    ['truth/trades?from=0&to=NOW'],
    ['truth/trades?from=NOW&to=9e15'],
    ['truth/candles?from=0&to=NOW'],
    ['truth/candles?interval=1s&from=0&to=NOW'],
    ['truth/book?depth=100000000'],
  ])('%s would take memory without end and is a 400', async (path) => {
    const target = path.replace('?', '?venue=kraken&symbol=BTC/USD&').replace('NOW', String(NOON));
    expect((await call('GET', target)).status).toBe(400);
  });
});

test('a sandbox inside the server has no control API, unless SANDBOX_CONTROL=true', async () => {
  const closers: (() => unknown)[] = [];
  const own = (_name: string, close: () => unknown): unknown => closers.push(close);
  const statusOf = async (env: Record<string, string>) => {
    const url = await startSandboxOf(loadConfig({ SANDBOX: 'true', ...env }), own);
    return (await fetch(`${url ?? ''}/_control/state`)).status;
  };
  expect(await statusOf({})).toBe(404);
  expect(await statusOf({ SANDBOX_CONTROL: 'true' })).toBe(200);
  for (const close of closers) await close();
});
