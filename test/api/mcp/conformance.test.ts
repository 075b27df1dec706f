import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startConformance, type Conformance } from './conformance.js';
import { startMcpApp } from './mcp-app.js';

/** What this server claims to do. The other scenarios are in docs/mcp.md, each with the reason why it does not apply. */
const APPLICABLE = ['server-initialize', 'ping', 'tools-list', 'resources-list', 'dns-rebinding-protection'];

let started: Awaited<ReturnType<typeof startMcpApp>>;
let conformance: Conformance;
beforeAll(async () => {
  [started, conformance] = await Promise.all([startMcpApp(), startConformance()]);
});
afterAll(() => Promise.all([started.app.close(), conformance.close()]));

test.each(APPLICABLE)('passes the official scenario %s', async (scenario) => {
  const { passed, output } = await conformance.run([
    'server',
    '--url',
    started.url.href,
    '--scenario',
    scenario,
  ]);
  expect(passed, output).toBe(true);
  expect(output).toMatch(/Passed: ([1-9]\d*)\/\1, 0 failed, 0 warnings/);
});

test('every other scenario of the runner is documented with a reason', async () => {
  const { output } = await conformance.run(['list', '--server']);
  const scenarios = [...output.matchAll(/^ {2}- (\S+)/gm)].map(([, name = '']) => name);
  expect(scenarios.length).toBeGreaterThan(25);
  const docs = await readFile(new URL('../../../docs/mcp.md', import.meta.url), 'utf8');
  const [, about = ''] = docs.split('## Conformance');
  const explained = [...about.matchAll(/^\| `([^|]+)` *\| ([^|]{20,}?) *\|$/gm)].flatMap(([, names = '']) =>
    names.split('`, `'),
  );
  expect([...APPLICABLE, ...explained].toSorted()).toEqual(scenarios.toSorted());
});
