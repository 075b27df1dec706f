/** This product's version, as package.json says: the same file is one level up from src and from dist. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

export const VERSION: string = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))).version;
