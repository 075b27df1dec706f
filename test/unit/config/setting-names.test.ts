import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/config.js';
import { misspelledSettings, SETTINGS } from '../../../src/config/setting-names.js';

describe('.env.example', () => {
  const text = readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8');

  test('has every setting once, under its description, and no other', () => {
    const found = [...text.matchAll(/^# (.*)\n([A-Z_]+)=/gm)].map(([, description, name]) => ({
      name,
      description,
    }));
    const byName = (a: { name: string | undefined }, b: { name: string | undefined }) =>
      String(a.name) < String(b.name) ? -1 : 1;
    expect(found.sort(byName)).toEqual([...SETTINGS].sort(byName));
    for (const { description } of SETTINGS) expect(description).not.toBe('');
  });

  test('has the defaults', () => {
    expect(loadConfig(parseEnv(text))).toEqual(loadConfig({}));
  });
});

describe('variables that are nearly settings', () => {
  test.each([
    ['ENABLED_EXCHANGE', 'ENABLED_EXCHANGES'],
    ['REDIS_URI', 'REDIS_URL'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['PROT', 'PORT'],
    ['port', 'PORT'],
    ['HTTPS_PROXI', 'HTTPS_PROXY'],
  ])('%s is told to be meant for %s', (variable, meant) => {
    expect(misspelledSettings({ [variable]: 'x', PORT: '1' })).toEqual([{ variable, meant }]);
  });

  test('what is a setting, or far from any, is not', () => {
    const names = [
      'HOME',
      'PATH',
      'PWD',
      'USER',
      'LANG',
      'SHELL',
      'TERM',
      'NODE_ENV',
      'npm_config_port',
      'http_proxy',
    ];
    const settings = SETTINGS.map(({ name }) => name);
    const env = Object.fromEntries([...names, ...settings, 'HTTPS_PROXY'].map((name) => [name, '1']));
    expect(misspelledSettings(env)).toEqual([]);
  });
});
