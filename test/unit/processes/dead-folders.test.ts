/** What a primary that was killed leaves behind, for the next start to remove. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listenLocally, removeDeadFolders, socketPath } from '../../../src/processes/local-socket.js';

const OLD_S = 1_000_000;
const LATER = { now: () => OLD_S * 1000 + 61_000 };
let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'dead-'));
});
afterEach(() => rmSync(parent, { recursive: true }));

const make = (name: string): string => {
  const folder = join(parent, name);
  mkdirSync(folder);
  return folder;
};
const age = (folder: string): void => utimesSync(folder, OLD_S, OLD_S);

test('folders whose primary does not listen any more go; others stay', async () => {
  const [living, other, young] = [make('mcds-living'), make('other-abc123'), make('mcds-young1')];
  const dead = make('mcds-dead01');
  const server = await listenLocally(socketPath(living, 'primary'), () => undefined);
  for (const folder of [dead, living, other]) age(folder);
  expect(await removeDeadFolders('primary', { parent, ...LATER })).toEqual([dead]);
  expect(readdirSync(parent).sort()).toEqual(['mcds-living', 'mcds-young1', 'other-abc123']);
  await server.close();
  age(young);
  age(living);
  const gone = await removeDeadFolders('primary', { parent, ...LATER });
  expect([...gone].sort()).toEqual([living, young].sort());
});
