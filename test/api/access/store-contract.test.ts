// One contract over the stores of keys: SQLite and PostgreSQL, the real ones.
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hashOf, idOf, last4Of, makeKey } from '../../../src/access/key-format.js';
import { openAccessStore } from '../../../src/access/open-access.js';
import type { AccessStore, KeyRow, UsageDelta } from '../../../src/access/store/store.js';
import { createTestDatabase } from '../ledger/postgres.js';

const found = await createTestDatabase();
if (found === null) throw new Error('These tests need a PostgreSQL (TEST_POSTGRES_URL).');
const database = found;
afterAll(() => database.drop());

const AT = 1_700_000_000_000;
const HOUR = 3_600_000;
const BY_CLI = { actor: 'cli', at: AT };

const rowOf = (members: Partial<KeyRow> = {}): KeyRow => {
  const key = makeKey();
  const id = idOf(key);
  return {
    ...{ id, consumer: id, name: 'one', hash: hashOf(key), last4: last4Of(key), plan: 'default' },
    scopes: ['market:read', 'stream:read'],
    createdAt: AT,
    ...{ expiresAt: null, revokedAt: null, rotatedTo: null, leakedAt: null },
    ...members,
  };
};

const stores = [
  {
    name: 'SQLite',
    begin: () => {
      const folder = mkdtempSync(join(tmpdir(), 'access-store-'));
      const location = { kind: 'sqlite', file: join(folder, 'deep', 'access.db') } as const;
      return Promise.resolve({ location, end: () => rm(folder, { recursive: true, force: true }) });
    },
  },
  {
    name: 'PostgreSQL',
    begin: async () => {
      await database.empty();
      return { location: { kind: 'postgres', url: database.url } as const, end: () => Promise.resolve() };
    },
  },
];

describe.each(stores)('the store in $name', ({ begin }) => {
  let store: AccessStore;
  let other: AccessStore;
  let end: () => Promise<void>;
  beforeEach(async () => {
    const begun = await begin();
    end = begun.end;
    // Both at once: two processes that start together make the tables once.
    [store, other] = await Promise.all([
      openAccessStore(begun.location, true),
      openAccessStore(begun.location, true),
    ]);
  });
  afterEach(async () => {
    await store.close();
    await other.close();
    await end();
  });

  test('a new one is empty, at version 0', async () => {
    expect(await store.changesSince(0)).toEqual({ version: 0, keys: [], plans: [] });
  });

  test('a key is kept with everything that is known of it, and others see it', async () => {
    const row = rowOf({ name: `O'Brien "x" 日本`, expiresAt: AT + 5, scopes: ['admin'] });
    await store.createKey(row, BY_CLI);
    expect(await other.key(row.id)).toEqual(row);
    expect(await other.key('nobody000000')).toBeNull();
    expect((await other.changesSince(0)).keys).toEqual([row]);
  });

  test('changes are read from a version on, each once', async () => {
    const rows = [rowOf(), rowOf(), rowOf()];
    for (const row of rows) await store.createKey(row, BY_CLI);
    const { version } = await other.changesSince(0);
    expect(version).toBe(await other.version());
    expect((await other.changesSince(version)).keys).toEqual([]);
    await store.setPlan({ name: 'gold', limits: '{"day":5}' }, BY_CLI);
    await store.updateKey(rows[1]?.id ?? '', { name: 'two' }, BY_CLI);
    expect(await other.changesSince(version)).toEqual({
      version: version + 2,
      keys: [{ ...rows[1], name: 'two' }],
      plans: [{ name: 'gold', limits: '{"day":5}' }],
    });
  });

  test('versions of changes that two processes make at once are all different', async () => {
    const rows = Array.from({ length: 20 }, () => rowOf());
    await Promise.all(rows.map((row, index) => (index % 2 ? store : other).createKey(row, BY_CLI)));
    const { version, keys } = await store.changesSince(0);
    expect(version).toBe(20);
    expect(keys.map(({ id }) => id).sort()).toEqual(rows.map(({ id }) => id).sort());
  });

  test('an update changes what it names, and nothing of a key that is not there', async () => {
    const row = rowOf();
    await store.createKey(row, BY_CLI);
    const change = { name: 'new', scopes: ['admin' as const], plan: 'gold', expiresAt: AT + 9 };
    expect(await store.updateKey(row.id, change, BY_CLI)).toEqual({ ...row, ...change });
    expect(await store.updateKey(row.id, { expiresAt: null }, BY_CLI)).toMatchObject({
      name: 'new',
      expiresAt: null,
    });
    const before = await store.version();
    expect(await store.updateKey('nobody000000', { name: 'x' }, BY_CLI)).toBeNull();
    expect(await store.version()).toBe(before);
  });

  test('a rotation ends the old key and begins the new one together; it is not done twice', async () => {
    const row = rowOf();
    await store.createKey(row, BY_CLI);
    const { version } = await store.changesSince(0);
    const next = rowOf({ consumer: row.consumer });
    expect(await store.rotateKey(row.id, { next, expiresAt: AT + 100 }, BY_CLI)).toEqual(next);
    const { keys } = await other.changesSince(version);
    expect(keys).toEqual([{ ...row, expiresAt: AT + 100, rotatedTo: next.id }, next]);
    expect(await store.rotateKey(row.id, { next: rowOf(), expiresAt: AT + 100 }, BY_CLI)).toBeNull();
    expect(await store.rotateKey('nobody000000', { next: rowOf(), expiresAt: AT }, BY_CLI)).toBeNull();
    const soon = rowOf({ expiresAt: AT + 1 });
    await store.createKey(soon, BY_CLI);
    await store.rotateKey(soon.id, { next: rowOf(), expiresAt: AT + 100 }, BY_CLI);
    expect(await store.key(soon.id)).toMatchObject({ expiresAt: AT + 1 });
  });

  test('a key is revoked once: the first instant stays', async () => {
    const row = rowOf();
    await store.createKey(row, BY_CLI);
    expect(await store.revokeKey(row.id, { actor: 'cli', at: AT + 1 })).toMatchObject({ revokedAt: AT + 1 });
    expect(await other.revokeKey(row.id, { actor: 'cli', at: AT + 2 })).toMatchObject({ revokedAt: AT + 1 });
    expect(await store.revokeKey('nobody000000', BY_CLI)).toBeNull();
    expect(await store.rotateKey(row.id, { next: rowOf(), expiresAt: AT }, BY_CLI)).toBeNull();
  });

  test('a key is marked as leaked once', async () => {
    const row = rowOf();
    await store.createKey(row, BY_CLI);
    expect(await store.markLeaked(row.id, AT + 3)).toBe(true);
    expect(await store.markLeaked(row.id, AT + 4)).toBe(false);
    expect(await store.markLeaked('nobody000000', AT)).toBe(false);
    expect(await other.key(row.id)).toMatchObject({ leakedAt: AT + 3 });
  });

  test('keys are listed in pages, in the order of their creation', async () => {
    const rows = [3, 1, 2, 2, 5].map((later) => rowOf({ createdAt: AT + later }));
    for (const row of rows) await store.createKey(row, BY_CLI);
    const wanted = [...rows].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    const listed: KeyRow[] = [];
    for (let page = await store.keys({ limit: 2, after: null }); page.length > 0;) {
      listed.push(...page);
      page = await store.keys({ limit: 2, after: page.at(-1)?.id ?? null });
    }
    expect(listed).toEqual(wanted);
  });

  test('every change leaves a line that says who did what to what, newest first', async () => {
    const row = rowOf();
    await store.createKey(row, BY_CLI);
    await store.updateKey(row.id, { name: 'two', plan: 'default' }, { actor: 'admin0000000', at: AT + 1 });
    await store.rotateKey(row.id, { next: rowOf(), expiresAt: AT + 9 }, { actor: 'cli', at: AT + 2 });
    await store.revokeKey(row.id, { actor: 'cli', at: AT + 3 });
    await store.setPlan({ name: 'gold', limits: '{}' }, { actor: 'cli', at: AT + 4 });
    const entries = await other.audit(10);
    expect(entries.map(({ action, target, at }) => [action, target, at])).toEqual([
      ['plan.set', 'gold', AT + 4],
      ['key.revoke', row.id, AT + 3],
      ['key.rotate', row.id, AT + 2],
      ['key.update', row.id, AT + 1],
      ['key.create', row.id, AT],
    ]);
    expect(entries[3]).toMatchObject({ actor: 'admin0000000', detail: 'name=two' });
    expect(JSON.stringify(entries)).not.toContain(row.hash);
    expect(await store.audit(2)).toHaveLength(2);
  });

  test('plans are replaced as a whole', async () => {
    await store.setPlan({ name: 'gold', limits: '{"day":5}' }, BY_CLI);
    await store.setPlan({ name: 'base', limits: '{}' }, BY_CLI);
    await store.setPlan({ name: 'gold', limits: '{"month":7}' }, BY_CLI);
    expect(await other.plans()).toEqual([
      { name: 'base', limits: '{}' },
      { name: 'gold', limits: '{"month":7}' },
    ]);
  });

  test('usage adds up over processes, by key and hour, and by consumer', async () => {
    const delta = (members: Partial<UsageDelta>): UsageDelta => ({
      ...{ keyId: 'a', consumer: 'c', hour: AT, requests: 1, units: 2, bytes: 3_000_000_000 },
      ...{ streamSeconds: 4, refused: 5 },
      ...members,
    });
    await Promise.all([
      store.addUsage([delta({}), delta({ keyId: 'b' })]),
      other.addUsage([delta({ keyId: 'b' }), delta({}), delta({ hour: AT + HOUR, consumer: 'c' })]),
    ]);
    await store.addUsage([]);
    const twice = { hour: AT, requests: 2, units: 4, bytes: 6_000_000_000, streamSeconds: 8, refused: 10 };
    expect(await store.usage({ keyId: 'a', since: 0, limit: 100 })).toEqual([
      { keyId: 'a', ...twice },
      {
        keyId: 'a',
        hour: AT + HOUR,
        requests: 1,
        units: 2,
        bytes: 3_000_000_000,
        streamSeconds: 4,
        refused: 5,
      },
    ]);
    expect(await store.usage({ keyId: null, since: 0, limit: 2 })).toEqual([
      { keyId: 'a', ...twice },
      { keyId: 'b', ...twice },
    ]);
    expect(await store.usage({ keyId: 'a', since: AT + 1, limit: 100 })).toHaveLength(1);
    const many = Array.from({ length: 1200 }, (_, index) => `c${index}`);
    expect(await store.unitsSince([...many, 'c'], AT)).toEqual(new Map([['c', 10]]));
    expect(await store.unitsSince(['c', 'd'], AT + HOUR)).toEqual(new Map([['c', 2]]));
  });

  test('a ticket is taken by one of all who ask at once, on whatever server', async () => {
    const ticket = {
      hash: 'h',
      holder: 'o',
      principal: 'p',
      purpose: 'ws',
      origin: null,
      expiresAt: AT + 30_000,
    };
    expect(await store.putTicket(ticket, { now: AT, most: 20 })).toBe(true);
    const taken = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 ? store : other).takeTicket('h')),
    );
    expect(taken.filter((one) => one !== null)).toEqual([ticket]);
  });

  test('a holder has so many tickets at most, for whatever principals; expired ones do not count, and go', async () => {
    const put = (hash: string, expiresAt: number, now = AT) =>
      store.putTicket(
        { hash, holder: 'o', principal: `of ${hash}`, purpose: 'ws', origin: 'https://a', expiresAt },
        { now, most: 2 },
      );
    expect(await put('a', AT + 1)).toBe(true);
    expect(await put('b', AT + 9)).toBe(true);
    expect(await put('c', AT + 9)).toBe(false);
    expect(await put('d', AT + 9, AT + 5)).toBe(true);
    expect(await store.takeTicket('a')).toBeNull();
    expect(await store.takeTicket('c')).toBeNull();
    expect(await other.takeTicket('b')).toMatchObject({ hash: 'b', origin: 'https://a' });
  });
});
