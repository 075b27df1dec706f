// Backfills of two servers on one PostgreSQL: the real CCXT over simulated venues.
import pg from 'pg';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { backfill, done, LedgerRig, until } from './ledger-app.js';
import { exported, minutes, startTimes, truth } from './backfill-rig.js';
import { createTestDatabase } from './postgres.js';

const database = await createTestDatabase();
afterAll(() => database?.drop());

describe.runIf(database !== null)('two servers on one PostgreSQL', () => {
  const url = database?.url ?? '';
  let rig: LedgerRig;
  afterEach(() => rig.close());
  const sql = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(text).finally(() => client.end());
  };
  const pair = async (): Promise<[FastifyInstance, FastifyInstance]> => {
    await database?.empty();
    rig = await LedgerRig.start(url);
    return [await rig.app(), await rig.app()];
  };

  test('they share a job, and no page is asked for twice', async () => {
    const [one, other] = await pair();
    const asked = minutes(rig, 5_000);
    const job = await backfill(one, asked);
    expect(await done(other, job.id)).toMatchObject({ state: 'done', candles: 5_000, pages: 5 });
    const pages = startTimes(rig);
    expect(new Set(pages).size).toBe(pages.length);
  });

  test('one whose lease went to another stores nothing of the page under way: it is asked for again', async () => {
    await database?.empty();
    rig = await LedgerRig.start(url);
    const app = await rig.app();
    const asked = minutes(rig, 3_000);
    rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 20 } });
    const job = await backfill(app, asked);
    await until(app, job.id, ({ pages }) => pages === 1);
    rig.sandbox.control.clearFaults();
    rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'delay', ms: 700 } });
    await expect.poll(() => rig.sandbox.control.faults()).toEqual([]);
    const late = startTimes(rig).at(-1);
    await sql(`UPDATE leases SET owner = 'another', fence = fence + 1, until = 0`);
    expect(await done(app, job.id)).toMatchObject({ state: 'done', candles: 3_000, pages: 3 });
    expect(startTimes(rig).filter((start) => start === late)).toHaveLength(2);
    expect(await exported(app, asked)).toEqual(truth(rig, asked));
  });
});
