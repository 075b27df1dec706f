/** The persisted queries of GRAPHQL_DOCUMENTS, read once at the start, so that a faulty file does not go unnoticed. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ConfigError } from '../config/config.js';

const MAX_BYTES = 16 * 1024 * 1024;

const fileOf = z.record(z.string().regex(/^[0-9a-f]{64}$/), z.string());

const fault = (words: string): ConfigError => new ConfigError([`GRAPHQL_DOCUMENTS: ${words}`]);

/** SHA-256 in hex to text; empty for no path. Rejects with ConfigError. */
export const readGraphqlDocuments = async (path: string): Promise<ReadonlyMap<string, string>> => {
  if (path === '') return new Map();
  const text = await readFile(path, 'utf8').catch(() => {
    throw fault('the file cannot be read');
  });
  if (text.length > MAX_BYTES) throw fault(`the file is larger than ${MAX_BYTES / 1024 / 1024} MB`);
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    throw fault('the file must be JSON');
  }
  const read = fileOf.safeParse(given);
  if (!read.success) throw fault('must be a JSON object of texts by their SHA-256 in lower-case hex');
  for (const [hash, document] of Object.entries(read.data))
    if (createHash('sha256').update(document).digest('hex') !== hash)
      throw fault(`${hash} is not the SHA-256 of its text`);
  return new Map(Object.entries(read.data));
};
