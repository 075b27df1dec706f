import { afterEach, expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { startTestApp, type TestApp } from '../../support/app.js';

let rig: TestApp;
afterEach(async () => {
  await rig.app.close();
});
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const lines = () => rig.log.lines.filter(({ message }) => message.startsWith('request'));

const play = async (ACCESS_LOG: string) => {
  rig = await startTestApp({ ACCESS_LOG });
  await rig.app.inject({ url: TICKER, headers: { 'x-request-id': 'miss' } });
  await rig.app.inject({ url: TICKER, headers: { 'x-request-id': 'hit' } });
  await rig.app.inject({ url: '/v1/health', headers: { 'x-request-id': 'health' } });
  await rig.app.inject({ url: '/nothing?apiKey=s3cret', headers: { 'x-request-id': 'refused' } });
  rig.clock.now += 400_000;
  rig.venue.answer = () =>
    Promise.reject(new AppError('upstream_unavailable', 'away', { upstream: { exchange: 'binance' } }));
  await rig.app.inject({ url: TICKER, headers: { 'x-request-id': 'failed' } });
  return lines().map(({ details }) => (details as { request_id: string }).request_id);
};

test('all: one line an answer', async () => {
  expect(await play('all')).toEqual(['miss', 'hit', 'health', 'refused', 'failed']);
});

test('upstream, the default: what reached a venue or failed', async () => {
  expect(await play('upstream')).toEqual(['miss', 'refused', 'failed']);
});

test('errors: failures only', async () => {
  expect(await play('errors')).toEqual(['refused', 'failed']);
});

test('a line tells id, method, route, status, duration, cache state, exchange and code, but no query', async () => {
  await play('upstream');
  const [miss, refused, failed] = lines();
  expect(miss?.details).toEqual({
    request_id: 'miss',
    method: 'GET',
    route: '/v1/markets/ticker',
    status: 200,
    duration_ms: expect.any(Number),
    cache: 'MISS',
    exchange: 'binance',
  });
  expect(refused?.details).toMatchObject({ route: 'unmatched', status: 404, code: 'not_found' });
  expect(failed).toMatchObject({
    level: 'warn',
    details: { status: 503, code: 'upstream_unavailable', exchange: 'binance' },
  });
  expect(JSON.stringify(rig.log.lines)).not.toContain('s3cret');
});

test("the cause of an exchange's failure is logged and in no answer", async () => {
  rig = await startTestApp();
  const diagnosis = 'getaddrinfo ENOTFOUND api.example';
  const upstream = { exchange: 'binance', status: 502 };
  rig.venue.answer = () =>
    Promise.reject(new AppError('upstream_unavailable', 'away', { upstream, diagnosis }));
  const { body, headers } = await rig.app.inject(TICKER);
  expect(lines()).toMatchObject([
    { level: 'warn', details: { cause: diagnosis, upstream_status: 502, symbol: 'BTC/USDT' } },
  ]);
  expect(body + JSON.stringify(headers)).not.toContain('ENOTFOUND');
});

test('a refusal’s line says what was refused: the symbol, the parameter, the client', async () => {
  rig = await startTestApp({ CLIENT_RATE_LIMIT_REQUESTS: '2' });
  rig.venue.answer = () => Promise.reject(new AppError('symbol_not_found', 'binance has no NO/PE.'));
  await rig.app.inject('/v1/markets/ticker?exchange=binance&symbol=NO/PE');
  await rig.app.inject('/v1/markets/trades?exchange=binance&symbol=BTC/USDT&limit=many');
  await rig.app.inject({ url: TICKER, remoteAddress: '192.0.2.7' });
  for (let asked = 0; asked < 2; asked += 1)
    await rig.app.inject({ url: TICKER, remoteAddress: '192.0.2.7' });
  expect(lines().map(({ details }) => details)).toMatchObject([
    { code: 'symbol_not_found', symbol: 'NO/PE' },
    { code: 'invalid_request', errors: [{ parameter: 'limit', reason: expect.any(String) }] },
    expect.anything(),
    expect.anything(),
    { code: 'client_rate_limited', client: '192.0.2.7' },
  ]);
});

test('a flood of one failure is a few lines and a count', async () => {
  rig = await startTestApp();
  for (let i = 0; i < 50; i++) await rig.app.inject('/nothing');
  await rig.app.inject('/v1/markets/ticker');
  expect(lines()).toHaveLength(11);
  rig.clock.now += 10_000;
  await rig.app.inject('/nothing');
  const counts = rig.log.lines.filter(({ message }) => message === 'more requests failed alike');
  expect(counts.map(({ details }) => details)).toEqual([
    { sort: 'unmatched 404 not_found -', suppressed: 40 },
  ]);
});

test('suppressed lines are counted in the log at the end', async () => {
  rig = await startTestApp();
  for (let i = 0; i < 11; i++) await rig.app.inject('/nothing');
  await rig.app.close();
  expect(rig.log.lines.some(({ message }) => message === 'more requests failed alike')).toBe(true);
});

test('a bug that is hit again and again gets ten lines and a count, whichever way it is hit', async () => {
  rig = await startTestApp();
  rig.venue.answer = () => Promise.reject(new TypeError('a bug'));
  for (let i = 0; i < 50; i += 1)
    await rig.app.inject(`/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&limit=${i + 1}`);
  const bugs = () => rig.log.lines.filter(({ message }) => message === 'internal error');
  expect(bugs()).toHaveLength(10);
  rig.clock.now += 10_000;
  await rig.app.inject('/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&limit=60');
  expect(bugs()).toHaveLength(11);
  expect(rig.log.lines).toContainEqual(
    expect.objectContaining({ details: { sort: 'TypeError: a bug', suppressed: 40 } }),
  );
});
