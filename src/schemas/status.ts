/** What GET /v1/status tells of everything that runs. Every member is always there; null where nothing is known. */
import { z } from 'zod';
import { timestamp } from './common.js';

const count = z.int().nonnegative();
const age = z.number().nullable();

const exchangeStatus = z
  .object({
    id: z.string().meta({ description: 'The name that is enabled', example: 'binance' }),
    ccxt_id: z.string(),
    state: z
      .enum(['idle', 'loading', 'ok', 'cooling_down', 'failing', 'restarting'])
      .meta({ description: 'As /v1/health/ready says' }),
    feeds: z
      .object({ live: count, polling: count, reconnecting: count, stale: count })
      .meta({ id: 'FeedCounts', description: 'Live streams of this exchange by their state' }),
    oldest_tick_age_ms: age.meta({
      description: 'Of the feed that has been silent longest; null without feeds',
    }),
    budget: z
      .object({
        limit: count,
        remaining: count,
        resets_in_ms: z.number().nullable().meta({ description: 'The window of the budget at most' }),
      })
      .meta({ id: 'BudgetStatus', description: 'Requests that this server may still send it' }),
    cooldown_ms: z.number().meta({ description: 'Until requests leave again; 0: they do' }),
    circuit: z.enum(['closed', 'open', 'half_open']),
    markets_age_ms: age,
    reconnects: count.meta({ description: 'Of the feeds that it has now' }),
    last_error: z
      .object({ code: z.string(), detail: z.string().nullable(), at: timestamp })
      .nullable()
      .meta({ description: 'The latest fault while nothing has succeeded since' }),
  })
  .meta({ id: 'ExchangeStatus' });

const ledgerStatus = z
  .object({
    state: z.enum(['ok', 'degraded', 'disabled']),
    series: count.nullable(),
    candles: count.nullable(),
    bytes: count.nullable(),
    jobs: z
      .object({ queued: count, running: count, waiting: count, failed: count })
      .meta({ id: 'BackfillCounts' }),
  })
  .meta({ id: 'LedgerStatus' });

const clusterTopic = z
  .object({
    channel: z.string(),
    exchange: z.string(),
    symbol: z.string(),
    interval: z.string().optional(),
    owner: z.string().meta({ description: 'The server that holds its feed' }),
  })
  .meta({ id: 'ClusterTopic' });

const clusterStatus = z
  .object({
    server_id: z.string(),
    state: z.enum(['ok', 'unshared', 'degraded']).meta({ description: 'As /v1/health/ready says' }),
    servers: z.array(
      z
        .object({ id: z.string(), since: timestamp, owned: count, followed: count })
        .meta({ id: 'ClusterServer' }),
    ),
    owned: z.array(clusterTopic).meta({ description: 'Streams whose feed this server holds' }),
    followed: z.array(clusterTopic).meta({ description: 'Streams that it gets from another server' }),
  })
  .meta({ id: 'ClusterStatus' });

export const serverStatus = z
  .object({
    version: z.string(),
    uptime: z.number().meta({ description: 'Seconds since the start' }),
    sandbox: z.boolean().meta({ description: 'Simulated venues stand in for the real ones' }),
    features: z
      .object({
        store: z.boolean(),
        backfill_api: z.boolean(),
        auth: z.boolean(),
        graphql: z.boolean(),
        udf: z.boolean(),
        dashboard: z.boolean(),
      })
      .meta({ id: 'Features' }),
    exchanges: z.array(exchangeStatus),
    ledger: ledgerStatus.nullable().meta({ description: 'null where no candles are kept' }),
    cluster: clusterStatus.nullable().meta({ description: 'null where this server acts alone' }),
  })
  .meta({ id: 'Status' });
export type ServerStatus = z.infer<typeof serverStatus>;
