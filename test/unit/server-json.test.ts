// server.json for the MCP registry, by the rules of its schema of 2025-12-11 and of its check of npm packages.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { SETTINGS } from '../../src/config/setting-names.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const variable = z.strictObject({
  name: z.string().min(1),
  description: z.string().min(1),
  default: z.string().optional(),
  isRequired: z.boolean(),
  isSecret: z.boolean(),
  format: z.enum(['string', 'number', 'boolean', 'filepath']),
});
const serverJson = z.strictObject({
  $schema: z.literal('https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json'),
  name: z
    .string()
    .min(3)
    .max(200)
    .regex(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/),
  title: z.string().min(1).max(100),
  description: z.string().min(1).max(100),
  // Exact: no range, no `latest`.
  version: z.string().regex(/^\d+\.\d+\.\d+(-[\w.]+)?$/),
  repository: z.strictObject({ url: z.url(), source: z.literal('github') }),
  packages: z
    .array(
      z.strictObject({
        registryType: z.literal('npm'),
        identifier: z.string(),
        version: z.string(),
        runtimeHint: z.literal('npx'),
        transport: z.strictObject({ type: z.literal('stdio') }),
        packageArguments: z.array(z.strictObject({ type: z.literal('positional'), value: z.string() })),
        environmentVariables: z.array(variable),
      }),
    )
    .length(1),
});
const manifest = z.object({
  name: z.string(),
  version: z.string(),
  mcpName: z.string(),
  repository: z.string().regex(/^github:[^/]+\/[^/]+$/),
  files: z.array(z.string()),
});

const server = serverJson.parse(JSON.parse(read('server.json')));
const own = manifest.parse(JSON.parse(read('package.json')));

test('the registry finds the name in the published package, letter by letter', () => {
  expect(own.mcpName).toBe(server.name);
  expect(server.packages[0]?.identifier).toBe(own.name);
  expect(own.files).toContain('server.json');
});

test('both versions are those of the package', () => {
  expect([server.version, server.packages[0]?.version]).toEqual([own.version, own.version]);
});

test('whose it is stands in the repository of package.json, and everything else says the same', () => {
  const [owner = '', name = ''] = own.repository.replace('github:', '').split('/');
  expect(server.name).toBe(`io.github.${owner}/${name}`);
  expect(server.repository.url).toBe(`https://github.com/${owner}/${name}`);
  expect(read('docker/Dockerfile')).toContain(`LABEL io.modelcontextprotocol.server.name="${server.name}"`);
});

test('it starts MCP over stdio by settings that there are', () => {
  const [npm] = server.packages;
  expect(npm?.packageArguments.map(({ value }) => value)).toEqual(['--stdio']);
  const names = new Set(SETTINGS.map(({ name }) => name));
  expect(npm?.environmentVariables.filter(({ name }) => !names.has(name))).toEqual([]);
});
