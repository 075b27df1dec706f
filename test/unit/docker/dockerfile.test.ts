import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseEnv, parseExec, parseStages } from '../../../scripts/dockerfile.js';

const read = (file: string) => readFileSync(new URL(`../../../docker/${file}`, import.meta.url), 'utf8');
const source = read('Dockerfile');
const stages = parseStages(source);
const final = stages.at(-1)!;
const all = stages.flatMap(({ instructions }) => instructions);
const named = (name: string) => all.filter((instruction) => instruction.name === name);
const inFinal = (name: string) => final.instructions.filter((instruction) => instruction.name === name);

// The rules are hadolint's, by their numbers: https://github.com/hadolint/hadolint#rules
test('base images are tagged, and not latest (DL3006, DL3007)', () => {
  for (const { base } of stages) expect(base).toMatch(/^[\w./-]+:(?!latest)[\w.-]+$/);
});

test('builds on a long-term release of Node, slim, the same in each stage', () => {
  expect(new Set(stages.map(({ base }) => base)).size).toBe(1);
  const [, major] = /^node:(\d+)-\w+-slim$/.exec(final.base) ?? [];
  expect(Number(major) % 2).toBe(0);
  expect(Number(major)).toBeGreaterThanOrEqual(22);
});

test('paths of WORKDIR are absolute and no RUN changes them with cd (DL3000, DL3003)', () => {
  for (const { text } of named('WORKDIR')) expect(text).toMatch(/^\//);
  for (const { text } of named('RUN')) expect(text).not.toMatch(/(^|[;&|]\s*)cd\s/);
});

test('uses COPY, never ADD, sudo, deprecated MAINTAINER or build secrets in ENV (DL3020, DL3004, DL4000)', () => {
  expect(named('ADD')).toEqual([]);
  expect(named('MAINTAINER')).toEqual([]);
  for (const { text } of named('RUN')) expect(text).not.toMatch(/\bsudo\b|\bapt(-get)?\b|\bcurl\b|\bwget\b/);
  for (const { text } of named('ENV')) expect(text).not.toMatch(/KEY|TOKEN|SECRET|PASSWORD/i);
});

test('copies from stages that exist, and several sources into a folder only (DL3021, DL3022)', () => {
  const names = stages.map(({ name }) => name);
  for (const { text } of named('COPY')) {
    const [, from] = /--from=(\S+)/.exec(text) ?? [];
    if (from !== undefined) expect(names).toContain(from);
    const words = text.split(/\s+/).filter((word) => !word.startsWith('--'));
    if (words.length > 2) expect(words.at(-1)).toMatch(/\/$/);
  }
});

test('commands are in exec form, so that SIGTERM reaches the server (DL3025)', () => {
  expect(inFinal('ENTRYPOINT').map(({ text }) => parseExec(text))).toEqual([['node', 'dist/server.js']]);
  expect(inFinal('CMD')).toEqual([]);
  expect(inFinal('STOPSIGNAL').map(({ text }) => text)).toEqual(['SIGTERM']);
});

test('does not run as root (DL3002), and owns none of its files', () => {
  expect(inFinal('USER').map(({ text }) => text)).toEqual(['node']);
  const after = final.instructions.slice(final.instructions.findIndex(({ name }) => name === 'USER'));
  expect(after.map(({ name }) => name)).not.toContain('COPY');
  for (const { text } of inFinal('COPY')) expect(text).not.toContain('--chown');
});

test('health is asked of the port it serves, once in each image (DL3012)', () => {
  const [health, ...others] = inFinal('HEALTHCHECK');
  expect(others).toEqual([]);
  const command = parseExec(health!.text.slice(health!.text.indexOf('CMD ') + 4));
  expect(command.slice(0, 2)).toEqual(['node', '-e']);
  expect(command[2]).toContain('/v1/health');
  const env = Object.assign({}, ...inFinal('ENV').map(({ text }) => parseEnv(text)));
  expect(inFinal('EXPOSE').map(({ text }) => text)).toEqual([env.PORT]);
  expect(env).toMatchObject({ NODE_ENV: 'production', APP_ENV: 'production' });
});

test('installs exactly what the lock file names, and runs no package’s own scripts', () => {
  const installs = named('RUN').filter(({ text }) => /\bnpm (ci|install|i|prune)\b/.test(text));
  expect(installs.length).toBeGreaterThan(0);
  for (const { text } of installs) {
    expect(text).not.toMatch(/npm (install|i)\b/);
    expect(text).toContain('--ignore-scripts');
  }
  expect(installs.at(-1)!.text).toContain('--omit=dev');
});

test('nothing enters the build but what it copies', () => {
  const lines = read('Dockerfile.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  expect(lines[0]).toBe('*');
  const allowed = lines.slice(1).map((line) => line.replace(/^!/, ''));
  const copied = named('COPY')
    .filter(({ text }) => !text.includes('--from'))
    .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
  expect(allowed.toSorted()).toEqual(copied.toSorted());
});

test('the reader of Dockerfiles joins continued lines and refuses what it does not know', () => {
  const [stage] = parseStages('FROM a:1\nRUN x \\\n  # why\n  && y\n');
  expect(stage).toEqual({
    name: '0',
    base: 'a:1',
    instructions: [{ name: 'RUN', text: 'x && y', line: 2 }],
  });
  expect(() => parseStages('RUN x')).toThrow('line 1: RUN before FROM');
  expect(() => parseStages('FROM a:1\nRUN x \\')).toThrow('ends within');
  expect(() => parseExec('"node"')).toThrow('exec form');
});
