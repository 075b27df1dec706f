/** What in docs/ is made from the source: the tables of error codes and settings, examples of refusals, and the GraphQL schema. */
import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { printSchema } from 'graphql';
import { format, resolveConfig } from 'prettier';
import { SETTINGS } from '../src/config/setting-names.js';
import { AppError, ERROR_CODES } from '../src/errors.js';
import { buildSchema } from '../src/graphql/schema/build.js';
import { Sources } from '../src/graphql/sources.js';
import { ADVICE } from '../src/http/openapi/advice.js';
import { ACCESS_ERRORS } from '../src/http/openapi/security.js';
import { isErrorCode, toProblem } from '../src/http/problems/problem.js';

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

const TICKER = '/v1/markets/ticker';
const STREAM = '/v1/stream/ticker';

/** The refusals of access, as callers get them; a test provokes each and compares. */
const accessExamples = (): string =>
  ACCESS_ERRORS.map((code) => {
    const { detail, details } = ADVICE[code];
    const url = code === 'ticket_invalid' || code === 'insufficient_scope' ? STREAM : TICKER;
    const problem = toProblem(new AppError(code, detail, details), { url, requestId: '3f9a1c-7k' });
    return `\`\`\`json\n${JSON.stringify(problem, null, 2)}\n\`\`\``;
  }).join('\n\n');

/** What goes between the markers `<!-- generated:<name> -->` of each document; paths are relative to the repository. */
const PARTS = {
  'docs/errors.md': { errors: errorsTable, access: accessExamples },
  'docs/configuration.md': { settings: settingsTable },
} as const;

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
    listedName: notAsked,
  };
  const sources = new Sources({ marketData, ledger: null, status: notAsked, sandbox: false, now: notAsked });
  const style = await resolveConfig(file);
  const wanted = await format(printSchema(buildSchema(sources)), { ...style, parser: 'graphql' });
  return { path, current: existsSync(file) ? readFileSync(file, 'utf8') : '', wanted };
};

const documentOf = async (
  path: string,
  parts: Readonly<Record<string, () => string>>,
): Promise<GeneratedDocument> => {
  const file = new URL(`../${path}`, import.meta.url);
  const current = readFileSync(file, 'utf8');
  let text = current;
  for (const [name, make] of Object.entries(parts)) {
    const [start, end] = [`<!-- generated:${name} -->`, `<!-- /generated:${name} -->`];
    const [from, to] = [text.indexOf(start), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`${path} has no ${start} … ${end}`);
    text = `${text.slice(0, from)}${start}\n\n${make()}\n\n${text.slice(to)}`;
  }
  const style = await resolveConfig(file);
  return { path, current, wanted: await format(text, { ...style, parser: 'markdown' }) };
};

/** Throws where a document has lost its markers. */
export const generatedDocuments = (): Promise<GeneratedDocument[]> =>
  Promise.all([schemaDocument(), ...Object.entries(PARTS).map(([path, parts]) => documentOf(path, parts))]);
