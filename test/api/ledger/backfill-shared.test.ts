// Backfills of two servers on one PostgreSQL: the real CCXT over simulated venues.
import pg from 'pg';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { backfill, done, jobOf, LedgerRig, until } from './ledger-app.js';
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

  test('one whose lease has run out stores nothing for the job; the other one ends it', async () => {
    const [one, other] = await pair();
    const asked = minutes(rig, 3_000);
    rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 20 } });
    const job = await backfill(one, asked);
    await until(one, job.id, ({ pages }) => pages === 1);
    rig.sandbox.control.clearFaults();
    // The page under way is late; meanwhile the lease belongs to a third server, and then to nobody.
    rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'delay', ms: 700 } });
    await expect.poll(() => rig.sandbox.control.faults()).toEqual([]);
    await sql(`UPDATE leases SET owner = 'third', fence = fence + 1`);
    const before = await jobOf(one, job.id);
    await until(one, job.id, ({ pages }) => pages === before.pages);
    await sql(`UPDATE leases SET until = 0`);
    const ended = await done(other, job.id);
    expect(ended).toMatchObject({ state: 'done', candles: 3_000 });
    expect(before.pages).toBeLessThan(ended.pages);
    expect(await exported(other, asked)).toEqual(truth(rig, asked));
  });
});
