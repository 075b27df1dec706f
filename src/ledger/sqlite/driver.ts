/** SQLite by the API of node:sqlite: Node's own where it has it, else the same API from a package, loaded only then. */
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { StoreError } from '../store-error.js';
import type { SqlRow, SqlValue } from '../sql.js';

interface SqliteStatement {
  all(...values: SqlValue[]): unknown[];
  run(...values: SqlValue[]): { readonly changes: number | bigint };
  /** Rows as lists instead of objects; not in every version of Node. */
  setReturnArrays?(on: boolean): void;
}

export interface SqliteConnection {
  exec(text: string): void;
  prepare(text: string): SqliteStatement;
  close(): void;
}

export interface SqliteDriver {
  readonly name: 'node:sqlite' | '@photostructure/sqlite';
  open(file: string, options?: SqliteOpenOptions): SqliteConnection;
}

interface SqliteOpenOptions {
  /** Nothing of the file changes, not even when it is closed. */
  readonly readOnly?: boolean;
}

interface SqliteModule {
  readonly DatabaseSync: new (file: string, options?: SqliteOpenOptions) => SqliteConnection;
}

const isSqliteModule = (value: unknown): value is SqliteModule =>
  typeof value === 'object' && value !== null && 'DatabaseSync' in value;

const require = createRequire(import.meta.url);

/** Node prints a warning when its module is first loaded, in the versions in which it may still change. */
const withoutWarnings = (load: () => unknown): unknown => {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => undefined;
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
};

const loaded = (name: SqliteDriver['name']): SqliteDriver | undefined => {
  try {
    const module = withoutWarnings(() => require(name));
    if (!isSqliteModule(module)) return undefined;
    const { DatabaseSync } = module;
    return { name, open: (file, options = {}) => new DatabaseSync(file, options) };
  } catch {
    return undefined;
  }
};

/** Throws `unavailable` where there is neither. */
export const loadSqlite = (): SqliteDriver => {
  const driver = loaded('node:sqlite') ?? loaded('@photostructure/sqlite');
  if (driver !== undefined) return driver;
  throw new StoreError(
    'unavailable',
    'There is no SQLite: this Node has none of its own and the package @photostructure/sqlite is not installed.',
  );
};

/**
 * Resolves when closed connections hold their file no more. @photostructure/sqlite ends one only when its statements have
 * been collected, and then deletes the write-ahead log that stands at its path by that time: that of another file, where
 * its own was renamed meanwhile.
 */
export const releaseClosed = async (): Promise<void> => {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc()');
  await new Promise((resolve) => setImmediate(resolve));
};

const FULL = 13;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;
const BUSY = 5;
const LOCKED = 6;
const READ_ONLY = 8;
const KINDS: ReadonlyMap<number, StoreError['fault']> = new Map([
  [FULL, 'full'],
  [CORRUPT, 'corrupt'],
  [NOT_A_DATABASE, 'corrupt'],
  [BUSY, 'busy'],
  [LOCKED, 'busy'],
  [READ_ONLY, 'read_only'],
]);

const codeOf = (thrown: object): number | undefined => {
  const code: unknown =
    'errcode' in thrown ? thrown.errcode : 'sqliteCode' in thrown ? thrown.sqliteCode : undefined;
  // Extended codes keep the primary one in their lowest byte.
  return typeof code === 'number' ? code & 0xff : undefined;
};

const TEXTS: readonly [RegExp, StoreError['fault']][] = [
  [/malformed|not a database|corrupt/i, 'corrupt'],
  [/is full/i, 'full'],
  [/locked|busy/i, 'busy'],
  [/readonly|read-only|query_only/i, 'read_only'],
];

export const sqliteFault = (thrown: unknown): StoreError => {
  if (thrown instanceof StoreError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const code = typeof thrown === 'object' && thrown !== null ? codeOf(thrown) : undefined;
  const kind =
    (code === undefined ? undefined : KINDS.get(code)) ?? TEXTS.find(([pattern]) => pattern.test(text))?.[1];
  return new StoreError(kind ?? 'unavailable', text);
};

const isRow = (value: unknown): value is SqlRow => typeof value === 'object' && value !== null;

interface Prepared {
  readonly statement: SqliteStatement;
  /** Which value goes where. */
  readonly order: readonly number[];
  readonly isInOrder: boolean;
}

const bound = ({ order, isInOrder }: Prepared, values: readonly SqlValue[]): readonly SqlValue[] =>
  isInOrder && values.length === order.length ? values : order.map((index) => values[index] ?? null);

/** Statements are prepared once; `$n` may stand in a text more than once. */
export class SqliteSession {
  readonly #connection: SqliteConnection;
  readonly #statements = new Map<string, Prepared>();

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  exec(text: string): void {
    this.#guard(() => this.#connection.exec(text));
  }

  all(text: string, values: readonly SqlValue[] = []): SqlRow[] {
    return this.#guard(() => {
      const prepared = this.#prepared(text);
      return prepared.statement.all(...bound(prepared, values)).filter(isRow);
    });
  }

  /** Rows as lists of their columns, which costs half of what objects cost where the driver has it. */
  lists(text: string, values: readonly SqlValue[]): SqlValue[][] {
    return this.#guard(() => {
      const prepared = this.#prepared(text, { asLists: true });
      const rows = prepared.statement.all(...bound(prepared, values)).filter(isRow);
      return rows.map((row) => (Array.isArray(row) ? row : Object.values(row)));
    });
  }

  run(text: string, values: readonly SqlValue[] = []): number {
    return this.#guard(() => {
      const prepared = this.#prepared(text);
      return Number(prepared.statement.run(...bound(prepared, values)).changes);
    });
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #prepared(text: string, { asLists } = { asLists: false }): Prepared {
    const key = asLists ? `lists ${text}` : text;
    let known = this.#statements.get(key);
    if (known === undefined) {
      const order: number[] = [];
      const plain = text.replace(/\$(\d+)/g, (_match, number: string) => {
        order.push(Number(number) - 1);
        return '?';
      });
      const isInOrder = order.every((place, index) => place === index);
      known = { statement: this.#connection.prepare(plain), order, isInOrder };
      if (asLists) known.statement.setReturnArrays?.(true);
      this.#statements.set(key, known);
    }
    return known;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      throw sqliteFault(thrown);
    }
  }
}
