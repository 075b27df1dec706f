import { beforeAll, describe, expect, it } from 'vitest';
import { IssuerKeys } from '../../../../src/access/oauth/issuer-keys.js';
import { createJwtVerifier } from '../../../../src/access/oauth/jwt.js';
import { createTokens } from '../../../../src/access/oauth/tokens.js';
import { UNLIMITED, type Plan } from '../../../../src/access/plan.js';
import { Principal } from '../../../../src/access/principal.js';
import { AppError } from '../../../../src/errors.js';
import { silentLog } from '../../../../src/log/log.js';
import {
  ISSUER,
  makeKey,
  PUBLIC_URL,
  signToken,
  TokenIssuer,
  type IssuerKey,
} from '../../../support/token-issuer.js';
import { FakeTime } from '../../streams/fakes.js';

const SETTINGS = {
  audiences: [PUBLIC_URL, `${PUBLIC_URL}/mcp`],
  publicUrl: PUBLIC_URL,
  algorithms: ['ES256'],
  clockSkewMs: 30_000,
  scopePrefix: '',
  planClaim: 'plan',
};

const plan = (name: string): Plan => ({ name, limits: UNLIMITED });

let key: IssuerKey;
beforeAll(async () => {
  key = await makeKey('first');
});

const rig = ({ opaque = true } = {}) => {
  const time = new FakeTime();
  const issuer = new TokenIssuer();
  issuer.keys = [key.jwk];
  const at = Math.floor(time.now() / 1000);
  const keys = new IssuerKeys({
    issuer: ISSUER,
    http: issuer,
    log: silentLog,
    timers: time,
    monotonic: time.monotonic,
    onGone: (kids) => tokens.keysGone(ISSUER, kids),
  });
  const verifyJwt = createJwtVerifier({
    settings: SETTINGS,
    issuers: new Map([[ISSUER, keys]]),
    now: time.now,
  });
  const calls = { verified: 0, introspected: 0 };
  const held: { before: (() => Promise<void>) | null } = { before: null };
  const plans = new Map([['pro', plan('pro')]]);
  const defaultPlan = plan('default');
  const tokens = createTokens({
    async verifyJwt(token) {
      calls.verified += 1;
      const verified = await verifyJwt(token);
      await held.before?.();
      return verified;
    },
    introspect: opaque
      ? async () => {
          calls.introspected += 1;
          await Promise.resolve();
          const scopes = new Set(['market:read'] as const);
          const expiresAt = Infinity;
          return {
            issuer: ISSUER,
            subject: '',
            client: 'robot',
            scopes,
            plan: null,
            mcpOnly: false,
            expiresAt,
          };
        }
      : null,
    plan: (name) => plans.get(name),
    defaultPlan,
    clockSkewMs: 30_000,
    log: silentLog,
    now: time.now,
  });
  const sign = (claims = {}) => signToken({ key, at, claims });
  return { time, issuer, keys, tokens, calls, held, at, sign, defaultPlan };
};

const asPrincipal = (found: unknown): Principal => {
  if (found instanceof Principal) return found;
  throw new Error(`no principal: ${String(found)}`);
};

describe('tokens', () => {
  it('are looked at once and then found at once, as the same object', async () => {
    const { tokens, time, calls, sign } = rig();
    const token = await sign();
    expect(tokens.find(token, time.now())).toBe('ask');
    const principal = asPrincipal(await tokens.verify(token));
    expect(tokens.find(token, time.now())).toBe(principal);
    expect(calls.verified).toBe(1);
    expect(principal).toMatchObject({ kind: 'token', name: 'user-1', mcpOnly: false });
    expect(principal.has('stream:read')).toBe(true);
  });

  it('that come many times at once are verified once', async () => {
    const { tokens, calls, sign } = rig();
    const token = await sign();
    const all = await Promise.all(Array.from({ length: 50 }, () => tokens.verify(token)));
    expect(new Set(all).size).toBe(1);
    expect(calls.verified).toBe(1);
  });

  it('of one subject by one client count together, and of another client apart', async () => {
    const { tokens, sign, at } = rig();
    const ids = await Promise.all(
      [{}, { exp: at + 200 }, { client_id: 'other' }].map(async (claims) =>
        asPrincipal(await tokens.verify(await sign(claims))),
      ),
    );
    expect(ids[1]?.consumer.id).toBe(ids[0]?.consumer.id);
    expect(ids[1]).not.toBe(ids[0]);
    expect(ids[2]?.consumer.id).not.toBe(ids[0]?.consumer.id);
    expect(ids[0]?.id).toMatch(/^[\w-]{22}$/);
  });

  it('have the plan that they name where there is such a plan, else the default one', async () => {
    const { tokens, sign, defaultPlan } = rig();
    const planOf = async (claims: object) => asPrincipal(await tokens.verify(await sign(claims))).plan;
    expect((await planOf({ plan: 'pro' })).name).toBe('pro');
    expect(await planOf({ plan: 'gold' })).toBe(defaultPlan);
    expect(await planOf({ plan: ['pro'] })).toBe(defaultPlan);
    expect(await planOf({})).toBe(defaultPlan);
  });

  it('are refused once their time and the tolerance are over, remembered or not', async () => {
    const { tokens, time, sign } = rig();
    const token = await sign();
    const principal = asPrincipal(await tokens.verify(token));
    expect(principal.expiresAt).toBe((Math.floor(time.now() / 1000) + 330) * 1000);
    await time.advance(331_000);
    expect(tokens.find(token, time.now())).toMatchObject({ code: 'credentials_expired' });
    expect(await tokens.verify(token)).toMatchObject({ code: 'credentials_expired' });
  });

  it('of a key that is gone are forgotten, and their open streams end', async () => {
    const { tokens, time, issuer, keys, sign } = rig();
    keys.start();
    const token = await sign({ exp: Math.floor(time.now() / 1000) + 7200 });
    const principal = asPrincipal(await tokens.verify(token));
    const ends: string[] = [];
    principal.onEnd('stream:read', (reason) => ends.push(reason));
    issuer.keys = [(await makeKey('second')).jwk];
    await time.advance(3_600_000);
    expect(ends).toEqual(['credentials_revoked']);
    expect(principal.faultAt(time.now())).toBe('credentials_revoked');
    expect(tokens.find(token, time.now())).toBe('ask');
    expect(await tokens.verify(token)).toMatchObject({ code: 'invalid_credentials' });
    keys.close();
  });

  it('whose key goes while the signature is being checked are not let in', async () => {
    const { tokens, time, issuer, keys, held, calls, sign } = rig();
    keys.start();
    const token = await sign({ exp: Math.floor(time.now() / 1000) + 7200 });
    issuer.keys = [key.jwk];
    held.before = async () => {
      held.before = null;
      issuer.keys = [(await makeKey('second')).jwk];
      await time.advance(3_600_000);
    };
    expect(await tokens.verify(token)).toMatchObject({ code: 'invalid_credentials' });
    expect(calls.verified).toBe(2);
    expect(tokens.find(token, time.now())).toBe('ask');
    keys.close();
  });

  it('that are opaque are asked about again after 30 seconds', async () => {
    const { tokens, time, calls } = rig();
    const principal = asPrincipal(await tokens.verify('opaque'));
    expect(principal).toMatchObject({ name: 'robot', expiresAt: null });
    expect(tokens.find('opaque', time.now() + 29_999)).toBe(principal);
    await time.advance(30_000);
    expect(tokens.find('opaque', time.now())).toBe('ask');
    await tokens.verify('opaque');
    expect(calls.introspected).toBe(2);
  });

  it('that are opaque are nothing where nobody can be asked', async () => {
    const { tokens, time } = rig({ opaque: false });
    expect(tokens.find('opaque', time.now())).toBeNull();
    expect(await tokens.verify('opaque')).toBeInstanceOf(AppError);
  });
});
