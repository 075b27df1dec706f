/** A database of its own on the PostgreSQL of this machine, dropped at the end; null where there is none. */
import pg from 'pg';

const SERVER = process.env['TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';

export interface TestDatabase {
  readonly url: string;
  /** `SET <setting> = <value>` or `RESET ALL`, of connections that are made from now on. */
  alter(change: string): Promise<void>;
  /** Takes everything out of it. */
  empty(): Promise<void>;
  drop(): Promise<void>;
}

const run = async (connectionString: string, text: string): Promise<void> => {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000 });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
};

const asAdmin = (text: string): Promise<void> => run(SERVER, text);

export const createTestDatabase = async (): Promise<TestDatabase | null> => {
  const name = `candles_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;
  try {
    await asAdmin(`CREATE DATABASE ${name}`);
  } catch {
    return null;
  }
  const url = new URL(SERVER);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    alter: (change) => asAdmin(`ALTER DATABASE ${name} ${change}`),
    empty: () => run(url.href, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public'),
    drop: () => asAdmin(`DROP DATABASE ${name} WITH (FORCE)`),
  };
};
