/** Numbered SQL files, each applied once and whole. The newest number is the schema's version. */
import { readdirSync, readFileSync } from 'node:fs';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
}

/** Those of a dialect, in order; `all`: the folder of all dialects, default the ledger's. */
export const readMigrations = (
  dialect: 'sqlite' | 'postgres',
  all = new URL('./migrations/', import.meta.url),
): Migration[] => {
  const folder = new URL(`${dialect}/`, all);
  return readdirSync(folder)
    .filter((name) => /^\d{3}-.*\.sql$/.test(name))
    .sort()
    .map((name) => ({
      version: Number(name.slice(0, 3)),
      name,
      text: readFileSync(new URL(name, folder), 'utf8'),
    }));
};

/** The reason to open the store read-only: its schema is newer than this program; else null. */
export const newerSchema = (migrations: readonly Migration[], version: number): string | null => {
  const newest = Math.max(0, ...migrations.map((migration) => migration.version));
  return version > newest
    ? `The store has schema ${version}, this program knows ${newest}: it is only read.`
    : null;
};

/** Those that are still to be applied. */
export const pending = (migrations: readonly Migration[], version: number): Migration[] =>
  migrations.filter((migration) => migration.version > version);
