// Servers as processes of their own that share keys: over one SQLite file, and over one Redis beside it. What a revocation
// ends in all of them, and what of the usage is lost where one is killed.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from '@photostructure/sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createKeys } from '../../src/access/keys-in-store.js';
import { openAccessStore } from '../../src/access/open-access.js';
import { limitsOfBody, textOfLimits } from '../../src/access/plan-limits.js';
import { DEFAULT_SCOPES } from '../../src/access/principal.js';
import type { PlanLimitsBody, Scope } from '../../src/schemas/access.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { openSocket, openSse, opened } from '../api/access/stream-clients.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startServer } from './streams-rig.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
/** Thirty times what a revocation may take. */
const PATIENT = { timeout: 30_000, interval: 50 };

type Server = Awaited<ReturnType<typeof startServer>>;

let sandbox: Sandbox;
let folder: string;
beforeAll(async () => {
  sandbox = await startSandbox({ ticksPerSecond: 0 });
  folder = mkdtempSync(join(tmpdir(), 'access-processes-'));
});
afterAll(async () => {
  await sandbox.close();
  rmSync(folder, { recursive: true, force: true });
});

const settings = (store: string): Record<string, string> => ({
  ...{ AUTH_MODE: 'required', AUTH_STORE: `sqlite:${join(folder, store)}`, ADMIN_API: 'true' },
  ...{ SANDBOX: sandbox.url, STORE_URL: 'none', EXCHANGE_WORKERS: '0', TICKER_CACHE_TTL: '60' },
});
const portOf = ({ url }: Server): number => Number(new URL(url).port);

/** The command line: one more process on the store. */
const run = (store: string, ...args: string[]): string =>
  execFileSync(process.execPath, [CLI, ...args], {
    env: { PATH: process.env['PATH'], ...settings(store) },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
/** Keys and plans of a store that no server has opened yet. */
const prepare = async <T>(store: string, work: (made: Prepared) => Promise<T>): Promise<T> => {
  const opened = await openAccessStore({ kind: 'sqlite', file: join(folder, store) }, true);
  const keys = createKeys({
    store: () => opened,
    refresh: () => Promise.resolve(),
    tellOthers: () => Promise.resolve(1),
    now: Date.now,
  });
  try {
    return await work({
      async setPlan(name, limits) {
        await opened.setPlan(
          { name, limits: textOfLimits(limitsOfBody(limits)) },
          { actor: 'cli', at: Date.now() },
        );
      },
      async issue(given = {}) {
        const scopes = given.scopes ?? DEFAULT_SCOPES;
        const plan = given.plan ?? 'default';
        const { row, key } = await keys.create({ name: 'test', scopes, plan, expiresAt: null }, 'cli');
        return { id: row.id, key };
      },
    });
  } finally {
    await opened.close();
  }
};
interface Key {
  readonly id: string;
  readonly key: string;
}
interface Prepared {
  readonly setPlan: (name: string, limits: PlanLimitsBody) => Promise<void>;
  readonly issue: (given?: { readonly scopes?: readonly Scope[]; readonly plan?: string }) => Promise<Key>;
}

interface Answer {
  readonly status: number | undefined;
  readonly reused: boolean;
  readonly json: Readonly<Record<string, unknown>>;
}
/** Asks again and again over one connection that is kept alive. */
class KeptConnection {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #server: Server;
  readonly #key: string;

  constructor(server: Server, key: string) {
    this.#server = server;
    this.#key = key;
  }

  async ask(path = TICKER, method = 'GET'): Promise<Answer> {
    const headers = { 'x-api-key': this.#key };
    const asked = request({ port: portOf(this.#server), path, method, headers, agent: this.#agent }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const json = JSON.parse(await text(response)) as Record<string, unknown>;
    return { status: response.statusCode, reused: asked.reusedSocket, json };
  }

  close(): void {
    this.#agent.destroy();
  }
}

const running: Server[] = [];
const kept: KeptConnection[] = [];
const start = async (store: string, more: Record<string, string> = {}): Promise<Server> => {
  const server = await startServer({ ...settings(store), ...more });
  running.push(server);
  return server;
};
const keep = (server: Server, key: string): KeptConnection => {
  const connection = new KeptConnection(server, key);
  kept.push(connection);
  return connection;
};
afterEach(async () => {
  for (const connection of kept.splice(0)) connection.close();
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** What a key holds open on a server: a connection that is kept, an event stream, a WebSocket. */
const openAll = async (server: Server, key: string) => {
  const connection = keep(server, key);
  expect((await connection.ask()).status).toBe(200);
  const sse = await openSse(portOf(server), '', { 'x-api-key': key });
  expect(sse.status).toBe(200);
  const events = text(sse.response);
  const socket = opened(await openSocket(portOf(server), '/ws', { authorization: `Bearer ${key}` }));
  expect(await connection.ask()).toMatchObject({ status: 200, reused: true });
  return {
    async expectEnded(): Promise<void> {
      expect(await socket.closed).toBe(1008);
      expect(socket.messages.at(-1)).toMatchObject({ event_type: 'error', code: 'credentials_revoked' });
      const last =
        (await events)
          .split('\n')
          .filter((line) => line.startsWith('data: '))
          .at(-1) ?? '';
      expect(JSON.parse(last.slice('data: '.length))).toMatchObject({ code: 'credentials_revoked' });
      expect(await connection.ask()).toMatchObject({
        status: 401,
        reused: true,
        json: { code: 'credentials_revoked' },
      });
    },
  };
};

test('two servers on one SQLite file end what a key has open when it is revoked through one of them, or by the command line', async () => {
  const store = 'shared.db';
  const [admin, byApi, byCommand] = await prepare(store, async ({ issue }) => [
    await issue({ scopes: ['admin'] }),
    await issue(),
    await issue(),
  ]);
  const servers = await Promise.all([start(store), start(store)]);
  const [one] = servers;
  const open = async (key: string) => Promise.all(servers.map((server) => openAll(server, key)));
  const [first, second] = [await open(byApi.key), await open(byCommand.key)];

  const { status, json } = await keep(one, admin.key).ask(`/v1/admin/keys/${byApi.id}`, 'DELETE');
  expect([status, json['id'], json['confirmed']]).toEqual([200, byApi.id, 1]);
  for (const opened of first) await opened.expectEnded();
  run(store, 'keys', 'revoke', byCommand.id);
  for (const opened of second) await opened.expectEnded();
});

test('usage that was written outlives SIGKILL, and counts on every server of the store', async () => {
  const store = 'killed.db';
  const [admin, { id, key }] = await prepare(store, async ({ issue, setPlan }) => {
    await setPlan('daily', { day: 10 });
    return [await issue({ scopes: ['admin'] }), await issue({ plan: 'daily' })];
  });
  const [one, other] = await Promise.all([start(store), start(store)]);
  const caller = keep(one, key);
  const usedBy = async (server: Server): Promise<number> => {
    const { json } = await keep(server, admin.key).ask(`/v1/admin/usage?key=${id}`);
    return (json['usage'] as { units: number }[]).reduce((sum, { units }) => sum + units, 0);
  };
  for (let i = 0; i < 6; i++) expect((await caller.ask()).status).toBe(200);
  // Asked for its usage, a server writes what it has counted, as it does every ten seconds.
  expect(await usedBy(one)).toBe(6);
  for (let i = 0; i < 3; i++) expect((await caller.ask()).status).toBe(200);
  one.process.kill('SIGKILL');
  await once(one.process, 'exit');
  const left = await usedBy(other);
  expect(left).toBeGreaterThanOrEqual(6);
  expect(left).toBeLessThanOrEqual(9);
  const elsewhere = keep(other, key);
  expect((await elsewhere.ask('/v1/me')).json).toMatchObject({ used: { day: left }, limits: { day: 10 } });
  const again = keep(await start(store), key);
  expect((await again.ask('/v1/me')).json).toMatchObject({ used: { day: left } });
  for (let i = left; i < 10; i++) expect((await again.ask()).status).toBe(200);
  expect((await again.ask()).json).toMatchObject({ status: 429, code: 'quota_exceeded' });
});

test('a server whose store of keys is locked while it starts waits, serves what it can, and keys once the lock is gone', async () => {
  const store = 'locked.db';
  const { key } = await prepare(store, ({ issue }) => issue());
  const other = new DatabaseSync(join(folder, store));
  onTestFinished(() => other.close());
  other.exec('BEGIN EXCLUSIVE');
  const server = keep(await start(store), key);
  expect((await server.ask('/v1/health')).status).toBe(200);
  other.exec('ROLLBACK');
  await expect.poll(async () => (await server.ask('/v1/me')).status, PATIENT).toBe(200);
});

describe('over one Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  test('two servers count the window of a key together', async () => {
    const [store, requests] = ['window.db', 30];
    const { id, key } = await prepare(store, async ({ issue, setPlan }) => {
      await setPlan('hourly', { requests, window: 3600 });
      return issue({ plan: 'hourly' });
    });
    const shared = { REDIS_ENABLED: 'true', REDIS_URL: redis.url };
    const [one, other] = await Promise.all([start(store, shared), start(store, shared)]);
    const [first, second] = [keep(one, key), keep(other, key)];
    for (let i = 0; i < requests; i++) expect((await first.ask()).status).toBe(200);
    expect((await first.ask()).json).toMatchObject({ code: 'client_rate_limited' });
    const told = async () => redis.command('GET', `mcds:v1:sandbox:clients:3600000:key:${id}`);
    await expect.poll(told, PATIENT).toContain(`\r\n${requests}\r\n`);
    // Alone it would serve as many again.
    let served = 0;
    const ask = async (): Promise<number | undefined> => {
      const { status } = await second.ask();
      if (status === 200) served += 1;
      return status;
    };
    await expect.poll(ask, { ...PATIENT, interval: 200 }).toBe(429);
    expect(served).toBeLessThan(requests / 2);
  });
});
