/** What in docs/ is made from the source: the tables of error codes and settings, and the GraphQL schema. */
import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { printSchema } from 'graphql';
import { format, resolveConfig } from 'prettier';
import { SETTINGS } from '../src/config/config.js';
import { ERROR_CODES } from '../src/errors.js';
import { buildSchema } from '../src/graphql/schema/build.js';
import { Sources } from '../src/graphql/sources.js';
import { ADVICE } from '../src/http/openapi/advice.js';
import { isErrorCode } from '../src/http/problems/problem.js';

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

const errorsTable = (): string =>
  table(
    ['code', 'status', 'retryable', 'what it means', 'what to do'],
    Object.keys(ERROR_CODES)
      .filter(isErrorCode)
      .map((code) => {
        const { status, retryable } = ERROR_CODES[code];
        const { meaning, advice } = ADVICE[code];
        return [`\`${code}\``, String(status), retryable ? 'yes' : 'no', meaning, advice];
      }),
  );

/**
 * Names and meanings are those of the schema; the defaults are those of .env.example, as an operator writes them (seconds,
 * lists with commas). A test compares that file with the schema.
 */
const settingsTable = (): string => {
  const defaults = parseEnv(readFileSync(new URL('../.env.example', import.meta.url), 'utf8'));
  return table(
    ['setting', 'default', 'meaning'],
    SETTINGS.map(({ name, description }) => {
      const value = defaults[name];
      if (value === undefined) throw new Error(`.env.example lacks ${name}`);
      return [`\`${name}\``, value === '' ? '(empty)' : `\`${value}\``, description];
    }),
  );
};

/** Where each table goes, relative to the repository: between the markers `<!-- generated:<name> -->`. */
const TABLES = [
  { path: 'docs/errors.md', name: 'errors', make: errorsTable },
  { path: 'docs/configuration.md', name: 'settings', make: settingsTable },
] as const;

export interface GeneratedDocument {
  readonly path: string;
  /** As it stands in the folder. */
  readonly current: string;
  /** With the table of today's source. */
  readonly wanted: string;
}

/** The GraphQL schema in its own language, as `/schema.graphql` has it. */
const schemaDocument = async (): Promise<GeneratedDocument> => {
  const path = 'docs/schema.graphql';
  const file = new URL(`../${path}`, import.meta.url);
  const notAsked = (): never => {
    throw new Error('The schema is printed, nothing is asked.');
  };
  const marketData = {
    get: notAsked,
    livenessOf: notAsked,
    markets: notAsked,
    exchanges: notAsked,
    resolveExchange: notAsked,
    resolveStoredExchange: notAsked,
  };
  const sources = new Sources({ marketData, ledger: null, status: notAsked, sandbox: false, now: notAsked });
  const style = await resolveConfig(file);
  const wanted = await format(printSchema(buildSchema(sources)), { ...style, parser: 'graphql' });
  return { path, current: existsSync(file) ? readFileSync(file, 'utf8') : '', wanted };
};

const tableDocument = async ({ path, name, make }: (typeof TABLES)[number]): Promise<GeneratedDocument> => {
  const file = new URL(`../${path}`, import.meta.url);
  const current = readFileSync(file, 'utf8');
  const [start, end] = [`<!-- generated:${name} -->`, `<!-- /generated:${name} -->`];
  const [from, to] = [current.indexOf(start), current.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no ${start} … ${end}`);
  const text = `${current.slice(0, from)}${start}\n\n${make()}\n\n${current.slice(to)}`;
  const style = await resolveConfig(file);
  return { path, current, wanted: await format(text, { ...style, parser: 'markdown' }) };
};

/** Throws where a document has lost its markers. */
export const generatedDocuments = (): Promise<GeneratedDocument[]> =>
  Promise.all([schemaDocument(), ...TABLES.map(tableDocument)]);
