/** Health answers. */
import { z } from 'zod';
import { timestamp } from './common.js';

export const health = z
  .object({
    status: z.literal('ok'),
    uptime: z.number().meta({ description: 'Seconds since the start', example: 123.45 }),
    version: z.string().meta({ example: '0.1.0' }),
  })
  .meta({ id: 'Health' });
export type Health = z.infer<typeof health>;

const since = timestamp.meta({ description: 'When this state began, ms since the epoch' });

const cacheCheck = z
  .object({
    state: z.enum(['ok', 'degraded', 'disabled']).meta({
      description: 'degraded: Redis is not in use, memory alone serves; disabled: it was turned off',
    }),
    since,
    detail: z.string(),
  })
  .meta({ id: 'CacheCheck' });

const storeCheck = z
  .object({
    state: z.enum(['ok', 'degraded', 'disabled']).meta({
      description: 'degraded: candles are not kept, or not all of them; disabled: STORE_URL=none',
    }),
    since,
    detail: z.string(),
  })
  .meta({ id: 'StoreCheck' });
export type StoreCheck = z.infer<typeof storeCheck>;

const accessCheck = z
  .object({
    state: z.enum(['ok', 'degraded']).meta({
      description: 'degraded: the store of keys does not answer; known keys are served for AUTH_MAX_STALE',
    }),
    since,
    detail: z.string(),
  })
  .meta({ id: 'AccessCheck' });

const busCheck = z
  .object({
    state: z.enum(['ok', 'unshared', 'degraded', 'disabled']).meta({
      description:
        'unshared: Redis does not answer, this server acts alone; degraded: Redis may evict what the servers share; disabled: BUS=none, or no Redis',
    }),
    since,
    detail: z.string(),
    server_id: z.string().nullable().meta({ description: 'SERVER_ID; null where it acts alone' }),
    servers: z.int().meta({ description: 'Servers that are alive, this one included' }),
    owned: z.int().meta({ description: 'Streams whose feed this server holds' }),
    followed: z.int().meta({ description: 'Streams that it gets from another server' }),
  })
  .meta({ id: 'BusCheck' });
export type BusCheck = z.infer<typeof busCheck>;

const exchangeCheck = z
  .object({
    state: z.enum(['idle', 'loading', 'ok', 'cooling_down', 'failing', 'restarting']).meta({
      description: 'idle: nobody has asked for it yet; restarting: its worker thread is being replaced',
    }),
    since,
    markets: z.enum(['not_loaded', 'loading', 'loaded', 'refresh_failed', 'load_failed']),
    circuit: z.enum(['closed', 'open', 'half_open']),
    cool_down_until: timestamp.nullable(),
    budget_remaining: z
      .int()
      .meta({ description: 'Requests that the exchange may still get in this window' }),
    last_error: z
      .string()
      .nullable()
      .meta({ description: 'Code of the latest fault while nothing has succeeded since' }),
    last_error_detail: z.string().nullable().meta({
      description: 'Its cause for operators: the system’s words, or the HTTP status and the venue’s text',
    }),
    last_error_at: timestamp.nullable().meta({ description: 'When it was met, ms since the epoch' }),
  })
  .meta({ id: 'ExchangeCheck' });
export type ExchangeCheck = z.infer<typeof exchangeCheck>;

export const readiness = z
  .object({
    status: z.enum(['ready', 'degraded', 'unavailable']),
    sandbox: z.literal(true).optional().meta({ description: 'Present while the venues are simulated' }),
    draining: z.literal(true).optional().meta({ description: 'Present while the server shuts down' }),
    overloaded: z
      .literal(true)
      .optional()
      .meta({ description: 'Present while requests are refused with `overloaded`' }),
    auth: z
      .enum(['off', 'optional', 'required'])
      .meta({ description: 'AUTH_MODE; off: whoever reaches this server is served' }),
    checks: z
      .record(z.string(), z.union([busCheck, cacheCheck, storeCheck, accessCheck, exchangeCheck]))
      .meta({
        description:
          '`cache`, `store`, `bus`, `access` where AUTH_MODE is not off, and each enabled exchange by name',
      }),
  })
  .meta({ id: 'Readiness' });
export type Readiness = z.infer<typeof readiness>;
