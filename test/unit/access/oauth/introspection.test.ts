import { describe, expect, it } from 'vitest';
import { basicCredentials, createIntrospection } from '../../../../src/access/oauth/introspection.js';
import { IssuerFault } from '../../../../src/access/oauth/issuer-http.js';
import { recordingLog } from '../../../support/recording-log.js';
import { ISSUER, PUBLIC_URL } from '../../../support/token-issuer.js';
import { FakeTime } from '../../streams/fakes.js';

const ENDPOINT = { url: `${ISSUER}/introspect`, clientId: 'data', clientSecret: 'p%ss w:rd' };

const rig = (issuers: readonly string[] = [ISSUER]) => {
  const time = new FakeTime();
  const log = recordingLog();
  const asked: { url: string; form: URLSearchParams; basic: string }[] = [];
  const answers: { next: (token: string) => unknown } = { next: () => ({ active: false }) };
  const introspect = createIntrospection({
    endpoint: ENDPOINT,
    settings: {
      audiences: [PUBLIC_URL],
      publicUrl: PUBLIC_URL,
      scopePrefix: '',
      planClaim: null,
      clockSkewMs: 30_000,
    },
    issuers,
    http: {
      async postForm(url, form, basic) {
        asked.push({ url, form, basic });
        await Promise.resolve();
        return answers.next(form.get('token') ?? '');
      },
    },
    log,
    now: time.now,
    monotonic: time.monotonic,
  });
  const at = Math.floor(time.now() / 1000);
  const active = {
    active: true,
    sub: 'user-1',
    client_id: 'c',
    aud: PUBLIC_URL,
    exp: at + 60,
    scope: 'market:read',
  };
  const outcome = (token = 'opaque'): Promise<string> =>
    introspect(token).then(
      () => 'good',
      (error: unknown) => (error as { code: string }).code,
    );
  return { time, log, asked, answers, introspect, active, outcome, at };
};

describe('the introspection of an opaque token', () => {
  it('asks with the token in a form and the credentials encoded as OAuth wants them', async () => {
    const { introspect, answers, active, asked, at } = rig();
    answers.next = () => active;
    const bearer = await introspect('opaque');
    expect(bearer).toMatchObject({ subject: 'user-1', client: 'c', expiresAt: (at + 60) * 1000 });
    expect([...bearer.scopes]).toEqual(['market:read']);
    expect(asked).toHaveLength(1);
    expect(asked[0]?.url).toBe(ENDPOINT.url);
    expect(asked[0]?.form.toString()).toBe('token=opaque&token_type_hint=access_token');
    expect(asked[0]?.basic).toBe(basicCredentials('data', 'p%ss w:rd'));
    expect(Buffer.from(asked[0]?.basic ?? '', 'base64').toString()).toBe('data:p%25ss+w%3Ard');
  });

  it.each([
    ['active is false', { active: false }, 'invalid_credentials'],
    ['active is text', { active: 'true' }, 'auth_unavailable'],
    ['active is missing', { active: undefined }, 'auth_unavailable'],
    ['the audience is missing', { aud: undefined }, 'invalid_credentials'],
    ['the audience is another', { aud: 'https://other.example' }, 'invalid_credentials'],
    ['the issuer is another', { iss: 'https://other.example' }, 'invalid_credentials'],
    ['the issuer is ours', { iss: ISSUER }, 'good'],
    ['the subject is missing', { sub: undefined }, 'good'],
    ['nobody is named', { sub: undefined, client_id: undefined }, 'invalid_credentials'],
    ['it does not expire', { exp: undefined }, 'good'],
  ])('where %s', async (_what, change, expected) => {
    const { answers, active, outcome } = rig();
    answers.next = () => ({ ...active, ...change });
    expect(await outcome()).toBe(expected);
  });

  it('judges the times that the answer tells by its own clock', async () => {
    const { answers, active, outcome, at } = rig();
    answers.next = () => ({ ...active, exp: at - 31 });
    expect(await outcome()).toBe('credentials_expired');
    answers.next = () => ({ ...active, nbf: at + 31 });
    expect(await outcome()).toBe('invalid_credentials');
    answers.next = () => ({ ...active, exp: at - 29, nbf: at + 29 });
    expect(await outcome()).toBe('good');
  });

  it.each([
    'cdk_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyz01',
    'cdt_secret',
    'two words',
    'a"quote',
    'x'.repeat(8193),
  ])('asks nobody about %.20s', async (token) => {
    const { outcome, asked } = rig();
    expect(await outcome(token)).toBe('invalid_credentials');
    expect(asked).toEqual([]);
  });

  it('is one question for all who bring the same token at once', async () => {
    const { answers, active, outcome, asked } = rig();
    answers.next = () => active;
    expect(new Set(await Promise.all(Array.from({ length: 30 }, () => outcome())))).toEqual(
      new Set(['good']),
    );
    expect(asked).toHaveLength(1);
  });

  it('refuses what would be more than 16 questions at once', async () => {
    const { answers, active, outcome } = rig();
    answers.next = () => active;
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => outcome(`token-${i}`)));
    expect(all.filter((word) => word === 'good')).toHaveLength(16);
    expect(all.filter((word) => word === 'auth_unavailable')).toHaveLength(4);
  });

  it('that cannot be made is a fault of the endpoint, told once and without token or secret', async () => {
    const { answers, active, outcome, log } = rig();
    answers.next = () => {
      throw new IssuerFault('status 401');
    };
    expect(await outcome('my-token')).toBe('auth_unavailable');
    expect(await outcome('my-token')).toBe('auth_unavailable');
    expect(log.warnings()).toHaveLength(1);
    answers.next = () => active;
    expect(await outcome('my-token')).toBe('good');
    expect(log.lines.map(({ level }) => level)).toEqual(['warn', 'info']);
    expect(JSON.stringify(log.lines)).not.toMatch(/my-token|p%ss/);
  });
});
