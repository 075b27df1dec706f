// A real nginx with a cache in front of the server: what it may keep, and for whom.
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { startTestApp } from '../../support/app.js';
import { startCachingProxy, type Proxy } from '../../support/nginx.js';
import { testFolder } from './access-app.js';
import { PlansRig, startVenues } from './plans-rig.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
/** Requests a window of the plans, by which an answer says whose it is. */
const QUOTAS = { one: '101', other: '202', anonymous: '303' };

let venues: Sandbox;
beforeAll(async () => {
  venues = await startVenues();
});
afterAll(() => venues.close());

let rig: PlansRig;
let proxy: Proxy;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const beginProxy = async (port: number): Promise<void> => {
  proxy = await startCachingProxy(`http://127.0.0.1:${port}`);
  ends.push(() => proxy.stop());
};

const begin = async (env: Readonly<Record<string, string>>): Promise<void> => {
  const folder = testFolder();
  ends.push(() => folder.end());
  rig = await PlansRig.start(venues, folder.file, env);
  ends.push(() => rig.close());
  await beginProxy(rig.port);
};

/** A key with a plan of its own. */
const keyOf = async (name: keyof typeof QUOTAS): Promise<{ readonly id: string; readonly key: string }> => {
  await rig.setPlan({ requests: Number(QUOTAS[name]) }, name);
  return rig.issue({ plan: name });
};

interface Answer {
  readonly status: number;
  /** What the proxy says of its cache. */
  readonly kept: string | null;
  /** Requests a window of whom it was made for. */
  readonly quota: string | null;
  readonly requestId: string | null;
}

const ask = async (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> => {
  const answer = await fetch(proxy.url + path, { headers });
  await answer.text();
  const of = (name: string): string | null => answer.headers.get(name);
  return {
    status: answer.status,
    kept: of('x-proxy-cache'),
    quota: of('x-ratelimit-limit'),
    requestId: of('x-request-id'),
  };
};

describe('a proxy that keeps what it may', () => {
  test.each(['required', 'optional'])(
    'keeps nothing of keys, and of callers without one: AUTH_MODE=%s',
    async (mode) => {
      await begin({ AUTH_MODE: mode, CLIENT_RATE_LIMIT_REQUESTS: QUOTAS.anonymous });
      const [one, other] = [await keyOf('one'), await keyOf('other')];
      const callers = [
        [{}, mode === 'optional' ? 200 : 401, mode === 'optional' ? QUOTAS.anonymous : null],
        [{ authorization: `Bearer ${one.key}` }, 200, QUOTAS.one],
        [{ 'x-api-key': other.key }, 200, QUOTAS.other],
        [{ 'x-api-key': one.key }, 200, QUOTAS.one],
      ] as const;
      const seen = new Set<string | null>();
      for (const [headers, status, quota] of [...callers, ...callers]) {
        const answer = await ask(TICKER, headers);
        expect(answer).toMatchObject({ status, quota });
        expect(answer.kept).not.toBe('HIT');
        seen.add(answer.requestId);
      }
      // Each came from the server.
      expect(seen.size).toBe(2 * callers.length);
      for (const { id, key } of [one, other]) {
        const me = await fetch(`${proxy.url}/v1/me`, { headers: { authorization: `Bearer ${key}` } });
        expect(await me.json()).toMatchObject({ id });
      }
      await rig.access.keys.revoke(one.id, 'cli');
      expect((await ask(TICKER, { 'x-api-key': one.key })).status).toBe(401);
      expect((await ask(TICKER, { 'x-api-key': other.key })).status).toBe(200);
    },
  );

  test('keeps answers for everybody where access is off: it is a cache', async () => {
    const { app } = await startTestApp({ TICKER_CACHE_TTL: '600' });
    ends.push(() => app.close());
    await app.listen({ port: 0, host: '127.0.0.1' });
    await beginProxy((app.server.address() as AddressInfo).port);
    const first = await ask(TICKER);
    const again = await ask(TICKER, { 'x-api-key': 'anything' });
    expect([first.kept, again.kept]).toEqual(['MISS', 'HIT']);
    expect(again.requestId).toBe(first.requestId);
  });
});

test('a proxy that keeps answers against their Cache-Control gives each key its own: they vary by credential', async () => {
  await begin({ AUTH_MODE: 'optional', CLIENT_RATE_LIMIT_REQUESTS: QUOTAS.anonymous });
  const [one, other] = [await keyOf('one'), await keyOf('other')];
  const callers = [
    [{ 'x-api-key': one.key }, QUOTAS.one],
    [{}, QUOTAS.anonymous],
    [{ authorization: `Bearer ${other.key}` }, QUOTAS.other],
  ] as const;
  for (const kept of ['MISS', 'HIT'])
    for (const [headers, quota] of callers)
      expect(await ask(`/forced${TICKER}`, headers)).toMatchObject({ status: 200, kept, quota });
});
