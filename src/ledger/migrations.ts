/** Numbered SQL files, each applied once and whole. The newest number is the schema's version. */
import { readdirSync, readFileSync } from 'node:fs';
import { StoreError } from './store-error.js';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
}

/** Those of a dialect, in order. */
export const readMigrations = (dialect: 'sqlite' | 'postgres'): Migration[] => {
  const folder = new URL(`./migrations/${dialect}/`, import.meta.url);
  return readdirSync(folder)
    .filter((name) => /^\d{3}-.*\.sql$/.test(name))
    .sort()
    .map((name) => ({
      version: Number(name.slice(0, 3)),
      name,
      text: readFileSync(new URL(name, folder), 'utf8'),
    }));
};

/** Those that are still to be applied. Throws `read_only` where the schema is newer than this program. */
export const pending = (migrations: readonly Migration[], version: number): Migration[] => {
  const newest = migrations.at(-1)?.version ?? 0;
  if (version > newest)
    throw new StoreError(
      'read_only',
      `The store has schema ${version}, this program knows ${newest}: it is only read.`,
    );
  return migrations.filter((migration) => migration.version > version);
};
