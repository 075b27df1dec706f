import { test } from 'vitest';
import { openPostgres, POSTGRES_NOW } from '../../../src/ledger/postgres/postgres-database.js';
import { createSqlStore } from '../../../src/ledger/sql-store.js';
import { storeContract } from '../../unit/ledger/store-contract.js';
import { createTestDatabase } from './postgres.js';

const database = await createTestDatabase();
if (database === null) test('there is no PostgreSQL on this machine', () => undefined);
else
  storeContract('a store in PostgreSQL', async () => {
    const opened = await openPostgres(database.url);
    const store = createSqlStore({ database: opened.database, databaseNow: POSTGRES_NOW });
    const end = async () => {
      await store.close();
      await database.drop();
    };
    return { store, end };
  });
