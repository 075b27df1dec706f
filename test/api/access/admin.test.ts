// /v1/admin: keys, plans, usage and the audit, for a key with the scope admin.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { auditAnswer, issuedKey, keyRecord, keysAnswer, usageAnswer } from '../../../src/schemas/access.js';
import { testFolder, type TestFolder } from './access-app.js';
import { PlansRig, startVenues } from './plans-rig.js';

const ALL = ['market:read', 'stream:read', 'history:read', 'admin'] as const;
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

let venues: Sandbox;
beforeAll(async () => {
  venues = await startVenues();
});
afterAll(() => venues.close());

let folder: TestFolder;
let rig: PlansRig;
let admin: { id: string; key: string };
beforeEach(async () => {
  folder = testFolder();
  rig = await PlansRig.start(venues, folder.file, { ADMIN_API: 'true' });
  admin = await rig.issue({ scopes: ALL });
});
afterEach(async () => {
  await rig.close();
  await folder.end();
});

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
const askAs = (key: string) => (method: Method, path: string, body?: object) =>
  rig.app.inject({
    method,
    url: `/v1/admin${path}`,
    headers: { 'x-api-key': key },
    ...(body === undefined ? {} : { payload: body }),
  });
const ask = (method: Method, path: string, body?: object) => askAs(admin.key)(method, path, body);
const create = async (body: object = {}) => {
  const response = await ask('POST', '/keys', { name: 'reader', scopes: ['market:read'], ...body });
  expect(response.statusCode).toBe(201);
  return issuedKey.parse(response.json());
};
const statusOf = async (key: string) => (await rig.get(TICKER, key)).statusCode;

describe('keys', () => {
  test('are made, once with their secret, never again', async () => {
    const response = await ask('POST', '/keys', { name: ' reader ', scopes: ['market:read'] });
    expect([response.statusCode, response.headers['cache-control']]).toEqual([201, 'no-store']);
    const { key, ...record } = issuedKey.strict().parse(response.json());
    expect(record).toMatchObject({
      ...{ name: 'reader', scopes: ['market:read'], plan: 'default', last4: key.slice(-4) },
      ...{ expires_at: null, revoked_at: null, rotated_to: null, leaked_at: null },
    });
    expect(key).toMatch(new RegExp(`^cdk_${record.id}_`));
    expect(await statusOf(key)).toBe(200);
    const shown = await ask('GET', `/keys/${record.id}`);
    expect(keyRecord.strict().parse(shown.json())).toEqual(record);
    expect(shown.body).not.toContain(key.slice(20, 40));
  });

  test.each([
    [{ scopes: ['market:read'] }, 'name'],
    [{ name: 'x' }, 'scopes'],
    [{ name: 'x', scopes: [] }, 'scopes'],
    [{ name: 'x', scopes: ['everything'] }, 'scopes.0'],
    [{ name: 'x', scopes: ['market:read'], plan: 'none-such' }, 'plan'],
    [{ name: 'x', scopes: ['market:read'], expires_at: 1000 }, 'expires_at'],
    [{ name: 'x', scopes: ['market:read'], secret: 'y' }, 'secret'],
  ])('are not made of %j', async (body, parameter) => {
    const response = await ask('POST', '/keys', body);
    expect(response.json()).toMatchObject({
      ...{ status: 400, code: 'invalid_request' },
      errors: [expect.objectContaining({ parameter }) as object],
    });
  });

  test('have no scope that their maker lacks, by whatever way', async () => {
    const lacking = { code: 'insufficient_scope', required_scopes: ['backfill:write'] };
    const scopes = ['market:read', 'backfill:write'];
    expect((await ask('POST', '/keys', { name: 'x', scopes })).json()).toMatchObject(lacking);
    const { id } = await create();
    expect((await ask('PATCH', `/keys/${id}`, { scopes })).json()).toMatchObject(lacking);
    const stronger = await rig.issue({ scopes: ['backfill:write'] });
    const rotation = await ask('POST', `/keys/${stronger.id}/rotate`, { overlap: 0 });
    expect([rotation.statusCode, rotation.json()]).toEqual([403, expect.objectContaining(lacking)]);
  });

  test('change at once', async () => {
    const { id, key } = await create();
    expect(await statusOf(key)).toBe(200);
    const renamed = await ask('PATCH', `/keys/${id}`, { name: 'other', scopes: ['stream:read'] });
    expect(renamed.json()).toMatchObject({ id, name: 'other', scopes: ['stream:read'] });
    expect(await statusOf(key)).toBe(403);
    const soon = Date.now() + 60_000;
    expect((await ask('PATCH', `/keys/${id}`, { expires_at: soon })).json()).toMatchObject({
      expires_at: soon,
    });
    expect((await ask('PATCH', `/keys/${id}`, { expires_at: null })).json()).toMatchObject({
      expires_at: null,
    });
    expect((await ask('PATCH', `/keys/${id}`, { expires_at: 5 })).statusCode).toBe(400);
  });

  test('are rotated: the old one is good for the overlap, the new one goes on', async () => {
    const { id, key } = await create();
    const answered = await ask('POST', `/keys/${id}/rotate`, { overlap: 3600 });
    const next = answered.json<{ id: string; key: string }>();
    expect(Object.keys(next).sort()).toEqual(['id', 'key']);
    expect([await statusOf(key), await statusOf(next.key)]).toEqual([200, 200]);
    expect((await ask('GET', `/keys/${id}`)).json()).toMatchObject({ rotated_to: next.id });
    expect((await ask('GET', `/keys/${next.id}`)).json()).toMatchObject({ name: 'reader' });
    expect((await ask('POST', `/keys/${id}/rotate`, { overlap: 0 })).json()).toMatchObject({
      code: 'invalid_request',
    });
    const leaked = await create();
    const replaced = await ask('POST', `/keys/${leaked.id}/rotate`, { overlap: 0 });
    expect(await statusOf(leaked.key)).toBe(401);
    expect(await statusOf(replaced.json<{ key: string }>().key)).toBe(200);
    for (const overlap of [-1, 7_776_001, 1.5, '5'])
      expect((await ask('POST', `/keys/${admin.id}/rotate`, { overlap })).statusCode).toBe(400);
  });

  test('are revoked at once, and once', async () => {
    const { id, key } = await create();
    const answered = await ask('DELETE', `/keys/${id}`);
    expect([answered.statusCode, await statusOf(key)]).toEqual([200, 401]);
    const { revoked_at: revokedAt, ...rest } = answered.json<Record<string, unknown>>();
    expect(rest).toEqual({ id, confirmed: 1 });
    expect((await ask('DELETE', `/keys/${id}`)).json()).toEqual({ id, confirmed: 1, revoked_at: revokedAt });
  });

  test('are listed in pages', async () => {
    for (let i = 0; i < 4; i++) await create({ name: `key ${i}` });
    const names: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const more: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const page = keysAnswer.parse((await ask('GET', `/keys?limit=2${more}`)).json());
      expect(page.keys.length).toBeLessThanOrEqual(2);
      names.push(...page.keys.map(({ name }) => name));
      cursor = page.next_cursor;
    }
    expect(names).toEqual(['test', 'key 0', 'key 1', 'key 2', 'key 3']);
    expect((await ask('GET', '/keys?limit=1001')).statusCode).toBe(400);
  });

  test('that are not there are a 404', async () => {
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { name: 'x' }],
      ['DELETE', '', undefined],
      ['POST', '/rotate', { overlap: 0 }],
    ] as const) {
      const answered = await ask(method, `/keys/000000000000${path}`, body);
      expect([method, answered.statusCode, answered.json<{ code: string }>().code]).toEqual([
        method,
        404,
        'not_found',
      ]);
    }
  });
});

describe('plans', () => {
  test('are set as a whole, act at once, and are listed', async () => {
    expect((await ask('GET', '/plans')).json()).toEqual({ plans: [{ name: 'default' }] });
    const set = await ask('PUT', '/plans/trial', { requests: 1, day: 50, exchanges: ['Binance'] });
    const trial = { name: 'trial', requests: 1, window: 60, day: 50, exchanges: ['binance'] };
    expect([set.statusCode, set.json()]).toEqual([200, trial]);
    const { key } = await create({ plan: 'trial' });
    expect([await statusOf(key), await statusOf(key)]).toEqual([200, 429]);
    expect((await ask('PUT', '/plans/trial', { streams: 2 })).json()).toEqual({ name: 'trial', streams: 2 });
    expect(await statusOf(key)).toBe(200);
    expect((await ask('GET', '/plans')).json()).toEqual({
      plans: [{ name: 'default' }, { name: 'trial', streams: 2 }],
    });
  });

  test.each([
    [{ requests: 0 }],
    [{ hour: 5 }],
    [{ day: -1 }],
    [{ exchanges: [] }],
    [{ exchanges: ['nowhere'] }],
  ])('are not set to %j', async (body) => {
    expect((await ask('PUT', '/plans/trial', body)).statusCode).toBe(400);
    expect((await ask('GET', '/plans')).json()).toEqual({ plans: [{ name: 'default' }] });
  });
});

test('usage is what each key has used by the hour, up to the question', async () => {
  const { id, key } = await create();
  await rig.setPlan({ exchanges: ['kraken'] });
  await rig.get(TICKER, key);
  await rig.get('/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&limit=501', key);
  await ask('PATCH', `/keys/${id}`, { plan: 'trial' });
  await rig.get(TICKER, key);
  const { usage } = usageAnswer.parse((await ask('GET', `/usage?key=${id}`)).json());
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  expect(usage).toMatchObject([{ key_id: id, hour, requests: 3, units: 3, refused: 1 }]);
  expect((await ask('GET', `/usage?key=${id}&since=${hour + 3_600_000}`)).json()).toEqual({ usage: [] });
  expect(usageAnswer.parse((await ask('GET', '/usage')).json()).usage.map(({ key_id }) => key_id)).toContain(
    admin.id,
  );
});

test('the audit says who changed what, newest first', async () => {
  const { id } = await create();
  await ask('PATCH', `/keys/${id}`, { name: 'other' });
  await ask('PUT', '/plans/trial', { day: 1 });
  await ask('DELETE', `/keys/${id}`);
  const { entries } = auditAnswer.parse((await ask('GET', '/audit')).json());
  expect(entries.map(({ actor, action, target }) => [actor, action, target])).toEqual([
    [admin.id, 'key.revoke', id],
    [admin.id, 'plan.set', 'trial'],
    [admin.id, 'key.update', id],
    [admin.id, 'key.create', id],
    ['cli', 'key.create', admin.id],
  ]);
  expect(auditAnswer.parse((await ask('GET', '/audit?limit=1')).json()).entries).toHaveLength(1);
});

describe('/v1/admin', () => {
  test('is for the scope admin', async () => {
    const { key } = await create();
    expect((await askAs(key)('GET', '/keys')).json()).toMatchObject({ code: 'insufficient_scope' });
    expect((await rig.get('/v1/admin/keys')).statusCode).toBe(401);
  });

  test('is not there without ADMIN_API: a 404 for a good key, a 401 without one', async () => {
    await rig.close();
    rig = await PlansRig.start(venues, folder.file);
    expect((await ask('GET', '/keys')).statusCode).toBe(404);
    expect((await rig.get('/v1/admin/keys')).statusCode).toBe(401);
    await rig.close();
    rig = await PlansRig.start(venues, folder.file, { AUTH_MODE: 'optional' });
    expect((await ask('GET', '/keys')).statusCode).toBe(404);
    expect((await rig.get('/v1/admin/keys')).json()).toMatchObject({ code: 'unauthenticated' });
    expect((await rig.get('/v1/nothing')).statusCode).toBe(404);
  });

  test('costs no units', async () => {
    await ask('PUT', '/plans/default', { day: 1 });
    await rig.get(TICKER, admin.key);
    expect((await rig.get(TICKER, admin.key)).statusCode).toBe(429);
    expect((await ask('GET', '/keys')).statusCode).toBe(200);
  });
});
