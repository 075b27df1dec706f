/** What the candle ledger answers: coverage, revisions, backfills. */
import { z } from 'zod';
import { exchangeName, nullableNumber, timestamp, unifiedSymbol } from './common.js';

const about = { exchange: exchangeName, symbol: unifiedSymbol, interval: z.string().meta({ example: '1m' }) };

const coverageRange = z
  .object({
    from: timestamp,
    to: timestamp.meta({ description: 'The first instant behind the range' }),
    state: z.enum(['known', 'empty', 'unavailable', 'suspect', 'unknown', 'pending']).meta({
      description:
        'known: a candle is stored for each period; empty: proven to have none; unavailable: the exchange does not give it; suspect: none came once; unknown: not asked for; pending: a backfill is on its way',
    }),
    reason: z.string().optional(),
    source: z.string().optional(),
    checked_at: timestamp.optional().meta({ description: 'When the exchange was asked, the oldest time' }),
  })
  .meta({ id: 'CoverageRange' });

export const coverageAnswer = z
  .object({
    ...about,
    series: z
      .object({
        anchor: z.int().meta({ description: 'Where periods begin: start modulo the interval, ms' }),
        generation: z.int().meta({ description: 'Grows when a symbol was listed anew' }),
        first: timestamp.nullable(),
        last: timestamp.nullable(),
        candles: z.int(),
        bytes: z.int().optional(),
      })
      .nullable()
      .meta({ description: 'null while nothing is stored' }),
    ranges: z.array(coverageRange),
  })
  .meta({ id: 'Coverage' });
export type CoverageBody = z.infer<typeof coverageAnswer>;

const revision = z
  .object({
    timestamp,
    rev: z.int(),
    open: nullableNumber,
    high: nullableNumber,
    low: nullableNumber,
    close: nullableNumber,
    volume: nullableNumber,
    source: z.string().meta({ example: 'rest' }),
    seen_at: timestamp.nullable(),
    replaced_at: timestamp,
    disputed: z.boolean().meta({ description: 'The exchange went back and forth' }),
  })
  .meta({ id: 'Revision' });
export const revisionsAnswer = z
  .object({ revisions: z.array(revision).meta({ description: 'What was replaced, newest first' }) })
  .meta({ id: 'Revisions' });
export type RevisionsBody = z.infer<typeof revisionsAnswer>;

export const backfill = z
  .object({
    id: z.string(),
    ...about,
    from: timestamp,
    to: timestamp.nullable().meta({ description: 'null: kept complete up to now' }),
    state: z.enum(['queued', 'running', 'waiting', 'done', 'failed', 'cancelled']),
    percent: z.number(),
    pages: z.int(),
    candles: z.int(),
    reached: timestamp.nullable().meta({ description: 'Everything from here to the end is settled' }),
    eta_seconds: z.int().nullable(),
    waiting_for: z.string().nullable(),
    error: z.string().nullable(),
  })
  .meta({ id: 'Backfill' });
export type BackfillBody = z.infer<typeof backfill>;
export const backfillsAnswer = z
  .object({ backfills: z.array(backfill).meta({ description: 'Newest first, at most 200' }) })
  .meta({ id: 'Backfills' });
