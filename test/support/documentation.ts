/** The documentation's files, made from the sources of today for the tests of one file. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeDocumentation } from '../../src/app/documentation.js';

/** Path of a new temporary folder that holds them. */
export const makeDocumentation = async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), 'documentation-'));
  await writeDocumentation(folder);
  return folder;
};
