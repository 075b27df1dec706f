/** The app in this process over a venue of the test, with keys in a store of the test. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Access } from '../../../src/access/access.js';
import type { NewKey } from '../../../src/access/keys.js';
import type { AppOverrides } from '../../../src/app/app.js';
import { startTestApp, type TestApp } from '../../support/app.js';

export interface AccessRig extends TestApp {
  readonly access: Access;
  readonly port: number;
  /** Gives the key. */
  readonly issue: (members?: Partial<NewKey>) => Promise<{ readonly id: string; readonly key: string }>;
}

export interface TestFolder {
  readonly file: string;
  end(): Promise<void>;
}

export const testFolder = (): TestFolder => {
  const folder = mkdtempSync(join(tmpdir(), 'access-'));
  return { file: join(folder, 'access.db'), end: () => rm(folder, { recursive: true, force: true }) };
};

export const issueTo = async (access: Access, members: Partial<NewKey> = {}) => {
  const { row, key } = await access.keys.create(
    {
      name: 'test',
      scopes: ['market:read', 'stream:read', 'history:read'],
      plan: 'default',
      expiresAt: null,
      ...members,
    },
    'cli',
  );
  return { id: row.id, key };
};

export const startAccessApp = async (
  env: Readonly<Record<string, string>>,
  overrides: AppOverrides = {},
): Promise<AccessRig> => {
  const rig = await startTestApp({ AUTH_MODE: 'required', ...env }, { now: Date.now, ...overrides });
  // The venue's answers are of now, as the server's clock has it.
  rig.clock.now = Date.now();
  const app: FastifyInstance = rig.app;
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  if (app.access === null) throw new Error('access is off');
  const { access } = app;
  return { ...rig, access, port, issue: (members) => issueTo(access, members) };
};
