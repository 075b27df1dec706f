import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { addAnswers } from '../../../src/http/requests/answer-record.js';
import { addAccess } from '../../../src/http/access/access-hook.js';
import { addClientLimit } from '../../../src/http/limits/client-limit.js';
import { PERMITS_ALL } from '../../../src/access/permit.js';
import { addCommonHeaders, steadyHeadersOf } from '../../../src/http/answers/common-headers.js';
import { createResponseCache, type ResponseCache } from '../../../src/http/response-cache/response-cache.js';
import { sendAnswer } from '../../../src/http/answers/json-answer.js';
import type { ServedAnswer } from '../../../src/market-data/market-data-api.js';

let app: FastifyInstance;
afterEach(async () => {
  await app.close();
});

/** An app whose only route answers with `next`, and counts how often it was asked. */
const rig = (options: { maxUrls?: number; maxBytes?: number } = {}) => {
  const state = {
    now: 10_000,
    asked: 0,
    live: false,
    next: {
      body: Buffer.from('{}'),
      etag: '"e"',
      cache: 'MISS',
      receivedAt: 10_000,
      freshUntil: 13_500,
      source: 'binance; via=rest',
    } as ServedAnswer,
  };
  const now = () => state.now;
  app = Fastify({ logger: false });
  addAnswers(app);
  addCommonHeaders(app, { corsOrigins: true });
  addAccess(app, { access: null, metricsAuth: false });
  addClientLimit(app, { quotas: null, metering: null, permits: () => PERMITS_ALL, windowName: 'default' });
  const cache: ResponseCache = createResponseCache(app, {
    now,
    steadyHeaders: steadyHeadersOf({ corsOrigins: true }),
    ...options,
  });
  app.addHook('onRequest', cache.hook);
  app.get('/a', (request, reply) => {
    state.asked += 1;
    cache.remember(request, { answer: state.next, exchange: 'binance', isLive: () => state.live });
    return sendAnswer(request, reply, { answer: state.next, at: state.now });
  });
  return { state, cache };
};
const get = (url = '/a') => app.inject(url);

test('age and max-age are true at every millisecond, and nothing is served at or past freshUntil', async () => {
  const { state } = rig();
  await get();
  for (let elapsed = 0; elapsed < 3500; elapsed += 50) {
    state.now = 10_000 + elapsed;
    const { headers } = await get();
    expect(headers.age, `after ${elapsed} ms`).toBe(String(Math.floor(elapsed / 1000)));
    const life = Math.floor((3500 - elapsed) / 1000) + Math.floor(elapsed / 1000);
    expect(headers['cache-control']).toBe(`public, max-age=${life}`);
  }
  expect(state.asked).toBe(1);
  state.now = 13_500;
  state.next = { ...state.next, cache: 'STALE' };
  expect((await get()).headers['x-cache']).toBe('STALE');
  expect(state.asked).toBe(2);
});

test.each(['LIVE', 'STALE'] as const)('%s answers are not kept', async (freshness) => {
  const { state, cache } = rig();
  state.next = { ...state.next, cache: freshness };
  await get();
  await get();
  expect(state.asked).toBe(2);
  expect(cache.size()).toBe(0);
});

test('it is passed over while a live stream has a newer answer, and serves again after it', async () => {
  const { state } = rig();
  await get();
  state.live = true;
  await get();
  expect(state.asked).toBe(2);
  state.live = false;
  await get();
  expect(state.asked).toBe(2);
});

test('each answer carries its own request id', async () => {
  rig();
  const ids = [await get(), await get(), await get()].map(({ headers }) => headers['x-request-id']);
  expect(new Set(ids).size).toBe(3);
});

test('every answer is reported with its cache state and exchange', async () => {
  rig();
  const seen: unknown[] = [];
  app.onAnswer(({ cache, exchange, status, route }) => seen.push([cache, exchange, status, route]));
  await get();
  await get();
  expect(seen[1]).toEqual(['HIT', 'binance', 200, '/a']);
});

test('URLs are bounded in number, the oldest go first', async () => {
  const { state, cache } = rig({ maxUrls: 2 });
  for (const url of ['/a?1', '/a?2', '/a?3']) await get(url);
  expect(cache.size()).toBe(2);
  await get('/a?3');
  expect(state.asked).toBe(3);
  await get('/a?1');
  expect(state.asked).toBe(4);
});

test('bodies are bounded in bytes', async () => {
  const { state, cache } = rig({ maxBytes: 10_000 });
  const body = (length: number) => ({ body: Buffer.from(`"${'x'.repeat(length)}"`), etag: `"${length}"` });
  state.next = { ...state.next, ...body(5_000) };
  await get('/a?1');
  state.next = { ...state.next, ...body(5_001) };
  await get('/a?2');
  expect(cache.size()).toBe(1);
  state.next = { ...state.next, ...body(9_000) };
  await get('/a?3');
  expect(cache.size()).toBe(1);
});

test('URLs and what each answer costs beside its body count too', async () => {
  const { state, cache } = rig({ maxBytes: 100_000 });
  for (let i = 0; i < 200; i += 1) {
    state.next = { ...state.next, etag: `"${i}"` };
    await get(`/a?${'q'.repeat(1_500)}${i}`);
  }
  expect(cache.size()).toBeGreaterThan(10);
  expect(cache.size()).toBeLessThan(35);
});

test('spellings of one query share an answer, and push no other out', async () => {
  const { state, cache } = rig({ maxUrls: 20 });
  await get('/a?honest');
  state.next = { ...state.next, etag: '"other"' };
  for (let i = 0; i < 100; i += 1) await get(`/a?x=${i}`);
  expect(cache.size()).toBe(9);
  const asked = state.asked;
  await get('/a?honest');
  await get('/a?x=0');
  expect(state.asked).toBe(asked);
});

test('a large body goes out as it is', async () => {
  const { state } = rig();
  state.next = { ...state.next, body: Buffer.from(JSON.stringify('é'.repeat(5000))) };
  await get();
  const { rawPayload, headers } = await get();
  expect(headers['x-cache']).toBe('HIT');
  expect(rawPayload).toEqual(state.next.body);
});

test('only GET and HEAD are answered', async () => {
  const { state } = rig();
  await get();
  const { statusCode } = await app.inject({ method: 'POST', url: '/a' });
  expect(statusCode).toBe(404);
  expect(state.asked).toBe(1);
});

test('an answer is not served as a hit once the clock was set back to before it came', async () => {
  const { state } = rig();
  await get();
  state.now = 10_500;
  await get();
  expect(state.asked).toBe(1);
  for (const ago of [1, 3_600_000]) {
    state.now -= ago + 500;
    await get();
    // The list of markets, which was received long before: its freshness counts from its sending.
    state.next = { ...state.next, receivedAt: 0 };
  }
  expect(state.asked).toBe(3);
});
