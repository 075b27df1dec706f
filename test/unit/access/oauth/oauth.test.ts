import { afterEach, describe, expect, it } from 'vitest';
import { createOAuth, type OAuth } from '../../../../src/access/oauth/oauth.js';
import { UNLIMITED } from '../../../../src/access/plan.js';
import { recordingLog } from '../../../support/recording-log.js';
import { PUBLIC_URL } from '../../../support/token-issuer.js';
import { FakeTime } from '../../streams/fakes.js';

const open: OAuth[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((oauth) => oauth.close()));
});

const start = (audiences: readonly string[]) => {
  const log = recordingLog();
  const time = new FakeTime();
  const oauth = createOAuth({
    settings: {
      issuers: [],
      audiences,
      publicUrl: PUBLIC_URL,
      algorithms: ['ES256'],
      clockSkewMs: 30_000,
      scopePrefix: '',
      planClaim: null,
      introspection: null,
    },
    proxy: { https: '', http: '', no: '' },
    userAgent: 'test',
    plan: () => undefined,
    defaultPlan: { name: 'default', limits: UNLIMITED },
    log,
    now: time.now,
    monotonic: time.monotonic,
    timers: time,
  });
  open.push(oauth);
  return log;
};

describe('OAuth', () => {
  it('warns of an audience that is no address of this server', () => {
    expect(start([PUBLIC_URL, `${PUBLIC_URL}/mcp`, `${PUBLIC_URL}/`]).warnings()).toEqual([]);
    expect(start([PUBLIC_URL, 'client-1', `${PUBLIC_URL}.evil.example`]).lines).toMatchObject([
      { level: 'warn', details: { audiences: ['client-1', `${PUBLIC_URL}.evil.example`] } },
    ]);
  });
});
