// The refusals that the documentation shows are the ones that the server gives: each is provoked, then compared.
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { generatedDocuments } from '../../../scripts/docs-tables.js';
import { makeKey } from '../../../src/access/key-format.js';
import { AppError, type ErrorCode } from '../../../src/errors.js';
import { ADVICE } from '../../../src/http/openapi/advice.js';
import { ACCESS_ERRORS } from '../../../src/http/openapi/security.js';
import { toProblem } from '../../../src/http/problems/problem.js';
import type { Problem } from '../../../src/schemas/problem.js';
import { startAccessApp, testFolder, type AccessRig, type TestFolder } from './access-app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const STREAM = '/v1/stream/ticker?exchange=binance&symbol=BTC/USDT';

let folder: TestFolder;
let rig: AccessRig;
const clock = { now: 0 };
beforeEach(async () => {
  folder = testFolder();
  clock.now = Date.now();
  rig = await startAccessApp({ AUTH_STORE: `sqlite:${folder.file}` }, { now: () => clock.now });
});
afterEach(async () => {
  await rig.app.close();
  await folder.end();
});

interface Refusal {
  readonly problem: Problem;
  readonly challenge: string | undefined;
  readonly retryAfter: string | undefined;
}

const ask = async (url: string, key?: string, { app } = rig): Promise<Refusal> => {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const answer = await app.inject({ url, headers });
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(answer.headers['cache-control']).toBe('no-store');
  const challenge = answer.headers['www-authenticate'];
  return {
    problem: answer.json<Problem>(),
    challenge: typeof challenge === 'string' ? challenge : undefined,
    retryAfter: answer.headers['retry-after'],
  };
};

/** A key whose plan has these limits. */
const keyWith = async (limits: object) => {
  const author = { actor: 'cli', at: clock.now };
  await rig.access.store().setPlan({ name: 'trial', limits: JSON.stringify(limits) }, author);
  await rig.access.changed();
  return rig.issue({ plan: 'trial' });
};

const PROVOKED: Readonly<Record<(typeof ACCESS_ERRORS)[number], () => Promise<Refusal>>> = {
  credential_in_url: async () => ask(`/v1/health?key=${(await rig.issue()).key}`),
  unauthenticated: () => ask(TICKER),
  invalid_credentials: () => ask(TICKER, makeKey()),
  credentials_expired: async () => {
    const { key } = await rig.issue({ expiresAt: clock.now + 1000 });
    clock.now += 1000;
    return ask(TICKER, key);
  },
  credentials_revoked: async () => {
    const { id, key } = await rig.issue();
    await rig.access.keys.revoke(id, 'cli');
    return ask(TICKER, key);
  },
  ticket_invalid: () => ask(`${STREAM}&ticket=cdt_nobodys`),
  insufficient_scope: async () => ask(STREAM, (await rig.issue({ scopes: ['market:read'] })).key),
  plan_forbids: async () => {
    const { key } = await keyWith({ exchanges: ['binance'] });
    return ask('/v1/markets/ticker?exchange=kraken&symbol=BTC/USD', key);
  },
  quota_exceeded: async () => {
    const { id, key } = await keyWith({ day: 50_000 });
    const row = { keyId: id, consumer: id, hour: clock.now - (clock.now % 3_600_000), requests: 1 };
    const rest = { units: 50_000, bytes: 0, streamSeconds: 0, refused: 0 };
    await rig.access.store().addUsage([{ ...row, ...rest }]);
    // What was used before is read once; /v1/me waits for it.
    await rig.app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${key}` } });
    return ask(TICKER, key);
  },
  too_many_auth_failures: async () => {
    for (let i = 0; i < 20; i += 1) await ask(TICKER, makeKey());
    return ask(TICKER, makeKey());
  },
  auth_unavailable: async () => {
    const damaged = testFolder();
    writeFileSync(damaged.file, 'no database, but longer than a header of SQLite would be '.repeat(100));
    const other = await startAccessApp({ AUTH_STORE: `sqlite:${damaged.file}` });
    const refusal = await ask(TICKER, makeKey(), other);
    await other.app.close();
    await damaged.end();
    return refusal;
  },
};

/** Without what differs from request to request. */
const comparable = ({ request_id, instance, retry_after_ms, ...rest }: Problem) => ({
  ...rest,
  request_id: typeof request_id,
  instance: typeof instance,
  retry_after_ms: typeof retry_after_ms,
});

const BAD_TOKEN = 'Bearer error="invalid_token"';
const CHALLENGES: Partial<Record<ErrorCode, string>> = {
  unauthenticated: 'Bearer',
  invalid_credentials: BAD_TOKEN,
  credentials_expired: BAD_TOKEN,
  credentials_revoked: BAD_TOKEN,
  ticket_invalid: BAD_TOKEN,
  insufficient_scope: 'Bearer error="insufficient_scope", scope="stream:read"',
};

describe('the example of', () => {
  test.each(ACCESS_ERRORS)('%s is what the server answers', async (code) => {
    const { detail, details } = ADVICE[code];
    const shown = toProblem(new AppError(code, detail, details), { url: TICKER, requestId: 'a-1' });
    const { problem, challenge, retryAfter } = await PROVOKED[code]();
    expect(comparable(problem)).toEqual(comparable(shown));
    expect(challenge).toBe(CHALLENGES[code]);
    expect(retryAfter === undefined).toBe(![429, 503].includes(problem.status));
  });

  test('each stands in docs/errors.md', async () => {
    const text = (await generatedDocuments()).find(({ path }) => path === 'docs/errors.md')?.current ?? '';
    const shown = [...text.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(
      ([, json = '']) => JSON.parse(json) as Problem,
    );
    for (const code of ACCESS_ERRORS) {
      const example = shown.find((one) => one.code === code);
      const { detail, details } = ADVICE[code];
      const context = { url: example?.instance ?? '', requestId: example?.request_id ?? '' };
      expect(example, code).toEqual(toProblem(new AppError(code, detail, details), context));
    }
  });
});

test('a limit of the plan is told like that of the client, by the name of the policy', async () => {
  const { key } = await keyWith({ requests: 2, window: 60 });
  for (let i = 0; i < 2; i += 1)
    await rig.app.inject({ url: TICKER, headers: { authorization: `Bearer ${key}` } });
  const { problem, retryAfter } = await ask(TICKER, key);
  expect(problem).toMatchObject({ status: 429, code: 'client_rate_limited', violated_policies: ['window'] });
  expect(problem.detail).toBe('More than 2 requests within 60 seconds.');
  expect(Number(retryAfter)).toBeGreaterThan(0);
});
