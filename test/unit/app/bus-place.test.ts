import { expect, test } from 'vitest';
import { busPlaceOf, named } from '../../../src/app/cluster.js';
import { loadConfig } from '../../../src/config/config.js';

const egressOf = (env: Record<string, string>): string | undefined =>
  busPlaceOf(named(loadConfig({ BUS: 'redis', ...env })))?.egress;

test('servers that reach the venues by the same way share a budget; a digest tells no address', () => {
  const proxy = { HTTPS_PROXY: 'http://user:secret@proxy.example:3128' };
  expect(egressOf({})).toBe('direct');
  expect(egressOf(proxy)).toMatch(/^[0-9a-f]{16}$/);
  expect(egressOf(proxy)).toBe(egressOf(proxy));
  expect(egressOf({ ...proxy, EGRESS_ID: 'north' })).toBe('north');
});

test('simulated venues of another address have a budget of their own, those of one address one', () => {
  const [first, second] = [{ SANDBOX: 'http://127.0.0.1:9001' }, { SANDBOX: 'http://127.0.0.1:9002' }];
  expect(egressOf(first)).toBe(egressOf(first));
  expect(egressOf(first)).not.toBe(egressOf(second));
  expect(egressOf(first)).not.toBe('direct');
  const inside = { SANDBOX: 'true' };
  expect(egressOf(inside)).not.toBe(egressOf(inside));
});

test('a server that acts alone is nowhere', () => {
  expect(busPlaceOf(named(loadConfig({ BUS: 'none' })))).toBeNull();
});
