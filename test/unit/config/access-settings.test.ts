import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/config.js';

const REQUIRED = { AUTH_MODE: 'required', HOME: '/home/u' };

describe('settings of access', () => {
  test.each([
    [{ AUTH_MODE: 'maybe' }, 'AUTH_MODE: must be off, optional or required, not "maybe"'],
    [{ ADMIN_API: 'true' }, 'ADMIN_API: needs AUTH_MODE=optional or required'],
    [{ ...REQUIRED, OAUTH_ISSUER: 'https://id.example' }, 'OAUTH_ISSUER: needs PUBLIC_URL'],
    [
      { ...REQUIRED, OAUTH_ISSUER: 'http://id.example', PUBLIC_URL: 'https://api.example' },
      'OAUTH_ISSUER: must be https URLs separated by commas; http on this machine only',
    ],
    [{ AUTH_MODE: 'required' }, 'AUTH_STORE: names no store for keys'],
    [{ AUTH_MODE: 'optional', AUTH_STORE: 'none' }, 'AUTH_STORE: names no store for keys'],
    [{ AUTH_SYNC_INTERVAL: '0.5' }, 'AUTH_SYNC_INTERVAL: must be at least 1'],
    [{ AUTH_SYNC_INTERVAL: '61' }, 'AUTH_SYNC_INTERVAL: must be at most 60'],
  ])('%o is refused, and the message names the setting', (environment, words) => {
    expect(() => loadConfig(environment)).toThrow(words);
  });

  test.each([
    [{}, { kind: 'sqlite', file: '/home/u/.local/share/mcp-crypto-data-server/access.db' }],
    [{ STORE_URL: 'sqlite:/data/candles.db' }, { kind: 'sqlite', file: '/data/access.db' }],
    [{ STORE_URL: 'postgres://db/market' }, { kind: 'postgres', url: 'postgres://db/market' }],
    [{ AUTH_STORE: 'sqlite:/keys/k.db' }, { kind: 'sqlite', file: '/keys/k.db' }],
  ])('with %o keys are in %o', (environment, store) => {
    expect(loadConfig({ ...REQUIRED, ...environment }).access.store).toEqual(store);
  });

  test('an issuer may speak http on loopback', () => {
    const { oauth } = loadConfig({
      ...REQUIRED,
      OAUTH_ISSUER: 'http://127.0.0.1:9000/realms/a',
      PUBLIC_URL: 'https://api.example/',
    }).access;
    expect(oauth.issuers).toEqual(['http://127.0.0.1:9000/realms/a']);
  });
});
