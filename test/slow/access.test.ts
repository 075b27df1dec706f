// Measurements of access, too long for every run: what the time of a refusal tells of a key, and how soon a revocation ends
// what a key has open on another server. The figures are printed.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAdmit } from '../../src/access/admit.js';
import { createKeys } from '../../src/access/keys-in-store.js';
import { hashOf, idOf, last4Of, makeKey } from '../../src/access/key-format.js';
import { createKeyRing } from '../../src/access/key-ring.js';
import { openAccessStore, type AccessLocation } from '../../src/access/open-access.js';
import { UNLIMITED } from '../../src/access/plan.js';
import { Principal } from '../../src/access/principal.js';
import type { KeyRow } from '../../src/access/store/store.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { ask, openSse } from '../api/access/stream-clients.js';
import { createTestDatabase } from '../api/ledger/postgres.js';
import { startServer } from '../e2e/streams-rig.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const quantile = (values: readonly number[], part: number): number =>
  sorted(values)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? NaN;
const median = (values: readonly number[]): number => quantile(values, 0.5);

const tell = (what: string, figures: Readonly<Record<string, number>>): void => {
  const words = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(3)}`);
  process.stdout.write(`${what}: ${words.join(', ')}\n`);
};

/** Measures both in turns, so that what the machine does meanwhile falls on both alike; medians of the turns in µs. */
const compare = (rounds: number, a: () => void, b: () => void): readonly [number, number] => {
  const timesOf = [[], []] as [number[], number[]];
  for (let round = 0; round < rounds; round++)
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const from = performance.now();
      (which === 0 ? a : b)();
      timesOf[which].push((performance.now() - from) * 1000);
    }
  return [median(timesOf[0]), median(timesOf[1])];
};

describe('the time of a refusal', () => {
  const CALLS = 100;
  const ROUNDS = 2_000;

  const rowOf = (key: string): KeyRow => ({
    ...{ id: idOf(key), consumer: idOf(key), name: 'n', hash: hashOf(key), last4: last4Of(key) },
    ...{ scopes: ['market:read'], plan: 'default', createdAt: 1, expiresAt: null, revokedAt: null },
    ...{ rotatedTo: null, leakedAt: null },
  });
  const admitOf = (rows: readonly KeyRow[]) => {
    const ring = createKeyRing({ watch: { changed: () => undefined }, now: Date.now });
    ring.apply({ version: 1, keys: rows, plans: [] }, true);
    const plan = { name: 'none', limits: UNLIMITED };
    const anonymous = new Principal(
      { kind: 'anonymous', id: 'anonymous', consumer: { id: 'anonymous' } },
      { name: 'anonymous', scopes: new Set(), plan, expiresAt: null, revokedAt: null },
    );
    const deps = { mode: 'required' as const, anonymous, ring, isServing: () => true, others: () => null };
    return createAdmit({ ...deps, now: Date.now });
  };
  const asking = (admit: ReturnType<typeof admitOf>, keys: readonly string[]) => (): void => {
    for (const key of keys) admit({ headers: { 'x-api-key': key }, socket: {} as unknown as Socket });
  };

  test('is that of a wrong secret for an unknown id, and does not grow with the number of keys', () => {
    const known = Array.from({ length: 100_000 }, () => makeKey());
    const some = known.slice(0, CALLS);
    const [unknown, wrong] = [0, 1].map(() => Array.from({ length: CALLS }, () => makeKey())) as [
      string[],
      string[],
    ];
    // Known by their ids, with another secret.
    const rows = wrong.map((key) => ({ ...rowOf(key), hash: hashOf(makeKey()) }));
    const many = admitOf([...known.map(rowOf), ...rows]);
    const [ofUnknown, ofWrong] = compare(ROUNDS, asking(many, unknown), asking(many, wrong));
    tell('100 refusals among 100,000 keys, µs', {
      unknown: ofUnknown,
      wrong: ofWrong,
      ratio: ofWrong / ofUnknown,
    });
    const one = admitOf(some.slice(0, 1).map(rowOf));
    const [ofOne, ofMany] = compare(
      ROUNDS,
      asking(one, Array<string>(CALLS).fill(some[0] ?? '')),
      asking(many, Array<string>(CALLS).fill(some[0] ?? '')),
    );
    tell('100 good keys, µs', { 'of 1': ofOne, 'of 100,000': ofMany, ratio: ofMany / ofOne });
    expect(ofWrong / ofUnknown).toBeGreaterThan(1 / 1.2);
    expect(ofWrong / ofUnknown).toBeLessThan(1.2);
    expect(ofMany / ofOne).toBeLessThan(1.2);
  });
});

describe('fifty revocations through one server', () => {
  const TIMES = 50;
  const found: { database?: NonNullable<Awaited<ReturnType<typeof createTestDatabase>>> } = {};
  let sandbox: Sandbox;
  let redis: RedisServer;
  let folder: string;
  beforeAll(async () => {
    sandbox = await startSandbox({ ticksPerSecond: 0 });
    redis = await startRedis();
    folder = mkdtempSync(join(tmpdir(), 'revocations-'));
    const database = await createTestDatabase();
    if (database === null) throw new Error('This test needs a PostgreSQL (TEST_POSTGRES_URL).');
    found.database = database;
  });
  afterAll(async () => {
    await found.database?.drop();
    await redis.stop();
    await sandbox.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const sqlite = (): AccessLocation => ({ kind: 'sqlite', file: join(folder, `${Math.random()}.db`) });
  const ways = [
    ['Redis', sqlite, () => ({ REDIS_ENABLED: 'true', REDIS_URL: redis.url, AUTH_SYNC_INTERVAL: '60' })],
    [
      'PostgreSQL',
      (): AccessLocation => ({ kind: 'postgres', url: found.database?.url ?? '' }),
      () => ({ AUTH_SYNC_INTERVAL: '60' }),
    ],
    ['one SQLite file', sqlite, () => ({})],
  ] as const;

  test.each(ways)(
    'end a stream and a kept connection of another one, told by %s',
    async (way, locate, env) => {
      const location = locate();
      const store = await openAccessStore(location, true);
      const keys = createKeys({
        store: () => store,
        refresh: () => Promise.resolve(),
        tellOthers: () => Promise.resolve(1),
        now: Date.now,
      });
      const make = async (scopes: KeyRow['scopes']) =>
        (await keys.create({ name: 'n', scopes, plan: 'default', expiresAt: null }, 'cli')).key;
      const admin = await make(['admin']);
      const all: string[] = [];
      for (let i = 0; i < TIMES; i++) all.push(await make(['market:read', 'stream:read']));
      await store.close();
      const settings = {
        ...{ AUTH_MODE: 'required', ADMIN_API: 'true', SANDBOX: sandbox.url, STORE_URL: 'none' },
        ...{ EXCHANGE_WORKERS: '0', TICKER_CACHE_TTL: '60' },
        AUTH_STORE: location.kind === 'sqlite' ? `sqlite:${location.file}` : location.url,
        ...env(),
      };
      const servers = await Promise.all([startServer(settings), startServer(settings)]);
      const [one, other] = servers.map(({ url }) => Number(new URL(url).port)) as [number, number];
      const [ends, refusals]: [number[], number[]] = [[], []];
      for (const key of all) {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        const status = async (): Promise<number | undefined> => {
          const asked = request({ port: other, path: '/v1/me', headers: { 'x-api-key': key }, agent }).end();
          const [response] = (await once(asked, 'response')) as [IncomingMessage];
          response.resume();
          await once(response, 'end');
          return response.statusCode;
        };
        expect(await status()).toBe(200);
        const { response } = await openSse(other, '', { 'x-api-key': key });
        response.resume();
        const ended = once(response, 'end').then(() => performance.now());
        const from = performance.now();
        const revoked = ask(one, `/v1/admin/keys/${idOf(key)}`, {
          method: 'DELETE',
          headers: { 'x-api-key': admin },
        });
        ends.push((await ended) - from);
        expect(await status()).toBe(401);
        refusals.push(performance.now() - from);
        expect((await revoked).status).toBe(200);
        agent.destroy();
      }
      for (const [what, times] of [
        ['end of a stream', ends],
        ['refusal', refusals],
      ] as const)
        tell(`${way}, ms from the request to the ${what}`, {
          median: median(times),
          p95: quantile(times, 0.95),
          most: Math.max(...times),
        });
      await Promise.all(servers.map((server) => server.close()));
      // The promise is a tenth of a second, or a second; the rest is patience with the machine.
      expect(Math.max(...ends)).toBeLessThan(10_000);
    },
  );
});
