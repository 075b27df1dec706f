/** Keys, plans and what is used of them, as /v1/me and /v1/admin tell and take them. Times in ms since the epoch. */
import { z } from 'zod';
import { MAX_EXCHANGE_LENGTH, timestamp } from './common.js';

export const SCOPES = [
  'market:read',
  'stream:read',
  'history:read',
  'backfill:write',
  'metrics:read',
  'admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** Whether callers are asked who they are (AUTH_MODE). */
export const AUTH_MODES = ['off', 'optional', 'required'] as const;
export type AuthMode = (typeof AUTH_MODES)[number];

const MAX_NAME_LENGTH = 100;
const MAX_PLAN_EXCHANGES = 200;
/** A day: what is longer is a quota. */
const MAX_WINDOW_S = 86_400;
/** 90 days. */
const MAX_OVERLAP_S = 7_776_000;

const positive = (description: string) =>
  z.int('must be a whole number').min(1, 'must be at least 1').meta({ description });

export const planName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, - and _')
  .meta({ description: 'Name of a plan', example: 'trial' });

const exchangeId = z
  .string()
  .max(MAX_EXCHANGE_LENGTH, `must be at most ${MAX_EXCHANGE_LENGTH} characters`)
  .regex(/^[A-Za-z0-9_]+$/, 'must be a CCXT exchange id such as binance')
  .transform((id) => id.toLowerCase())
  .meta({ example: 'binance' });

/** What is absent is unlimited. */
export const planLimits = z
  .strictObject({
    requests: positive('Requests a window').optional(),
    window: positive('Length of the window of `requests`, in seconds; 60 where it is not given')
      .max(MAX_WINDOW_S, `must be at most ${MAX_WINDOW_S}`)
      .optional(),
    day: positive('Units a day, by UTC').optional(),
    month: positive('Units a month, by UTC').optional(),
    streams: positive('Connections of SSE and WebSocket open at once, on one server').optional(),
    subscriptions: positive('Subscriptions on /ws at once, on one server').optional(),
    symbols: positive('Distinct symbols live at once, on one server').optional(),
    exchanges: z
      .array(exchangeId)
      .min(1, 'must not be empty')
      .max(MAX_PLAN_EXCHANGES, `must be at most ${MAX_PLAN_EXCHANGES} names`)
      .meta({ description: 'Exchanges that may be asked for' })
      .optional(),
    ohlcv_max: positive('Candles a call').optional(),
    backfill: z.boolean().meta({ description: 'false: no history is fetched for this caller' }).optional(),
    graphql_cost: positive('Cost of one GraphQL operation').optional(),
  })
  .meta({ id: 'PlanLimits', description: 'What is absent is unlimited' });
export type PlanLimitsBody = z.output<typeof planLimits>;

export const planRecord = z
  .object({ name: planName, ...planLimits.shape })
  .meta({ id: 'Plan', description: 'What is absent is unlimited' });
export type PlanRecord = z.output<typeof planRecord>;

export const plansAnswer = z.object({ plans: z.array(planRecord) }).meta({ id: 'Plans' });

const keyName = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(MAX_NAME_LENGTH, `must be at most ${MAX_NAME_LENGTH} characters`)
  .refine((text) => !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(text), 'must not contain control characters')
  .meta({ description: 'What the key is for', example: 'dashboard' });

const scopes = z.array(z.enum(SCOPES)).min(1, 'must not be empty').max(SCOPES.length, 'names scopes twice');

const expiresAt = timestamp.nullable().meta({ description: 'null: never' });

export const newKeyBody = z
  .strictObject({ name: keyName, scopes, plan: planName.optional(), expires_at: expiresAt.optional() })
  .meta({ id: 'NewKey' });

export const keyChangeBody = z
  .strictObject({
    name: keyName.optional(),
    scopes: scopes.optional(),
    plan: planName.optional(),
    expires_at: expiresAt.optional(),
  })
  .meta({ id: 'KeyChange' });

export const rotateBody = z
  .strictObject({
    overlap: z
      .int('must be a whole number')
      .min(0, 'must be at least 0')
      .max(MAX_OVERLAP_S, `must be at most ${MAX_OVERLAP_S}`)
      .meta({ description: 'Seconds for which the old key is still good; 0 after a leak' }),
  })
  .meta({ id: 'Rotation' });

const keyId = z
  .string()
  .min(1)
  .max(100)
  .meta({ description: 'Public id of the key', example: '4fTq0ZpW8sXa' });

const keyRecordShape = {
  id: keyId,
  name: z.string(),
  last4: z.string().meta({ description: 'The last characters of the key', example: 'x9Qa' }),
  scopes: z.array(z.enum(SCOPES)),
  plan: z.string(),
  created_at: timestamp,
  expires_at: expiresAt,
  revoked_at: timestamp.nullable(),
  rotated_to: z.string().nullable().meta({ description: 'Id of the key that replaces it' }),
  leaked_at: timestamp.nullable().meta({ description: 'When it was first seen in a URL' }),
};
export const keyRecord = z.object(keyRecordShape).meta({ id: 'Key' });
export type KeyRecord = z.output<typeof keyRecord>;

const secretKey = z.string().meta({ description: 'The key itself; it is shown this once' });
export const issuedKey = z.object({ ...keyRecordShape, key: secretKey }).meta({ id: 'IssuedKey' });
export const rotatedKey = z.object({ id: keyId, key: secretKey }).meta({ id: 'RotatedKey' });
export const revokedKey = z
  .object({
    id: keyId,
    revoked_at: timestamp,
    confirmed: z
      .int()
      .meta({ description: 'Servers that have dropped the key within 100 ms, this one counted' }),
  })
  .meta({ id: 'RevokedKey' });
export const keysAnswer = z
  .object({ keys: z.array(keyRecord), next_cursor: z.string().nullable() })
  .meta({ id: 'Keys' });

export const keyParams = z.strictObject({ id: keyId });
export const planParams = z.strictObject({ name: planName });

const urlWhole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.int().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .meta({ type: 'integer', minimum: min, maximum: max });

const rows = urlWhole(1, 1000).default(100).meta({ 'x-default': 100 });

export const keysQuery = z.strictObject({
  limit: rows,
  cursor: z.string().min(1).max(100).optional().meta({ description: '`next_cursor` of the page before' }),
});
export const auditQuery = z.strictObject({ limit: rows });
export const usageQuery = z.strictObject({
  key: keyId.optional(),
  since: urlWhole(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'Hours from this time on, ms since the epoch; without it the last 31 days' }),
  limit: urlWhole(1, 10_000).default(1000).meta({ 'x-default': 1000 }),
});

const amount = (description: string) => z.int().nonnegative().meta({ description });

export const usageAnswer = z
  .object({
    usage: z.array(
      z
        .object({
          key_id: z.string(),
          hour: timestamp.meta({ description: 'Start of the hour' }),
          requests: amount('Requests, refused ones too'),
          units: amount('What counts against the quotas of day and month'),
          bytes: amount('Bytes of the answers'),
          stream_seconds: amount('Seconds that streams were open'),
          refused: amount('Requests that were refused: 403 and 429'),
        })
        .meta({ id: 'UsageHour' }),
    ),
  })
  .meta({ id: 'Usage' });

export const auditAnswer = z
  .object({
    entries: z.array(
      z
        .object({
          at: timestamp,
          actor: z.string().meta({ description: 'Id of the key that asked for it, or cli' }),
          action: z.string().meta({ example: 'key.create' }),
          target: z.string().meta({ description: 'What was changed: an id or a name' }),
          detail: z.string(),
        })
        .meta({ id: 'AuditEntry' }),
    ),
  })
  .meta({ id: 'Audit' });

const perLimit = <T extends z.ZodType>(of: T) => z.object({ window: of, day: of, month: of });

export const meAnswer = z
  .object({
    type: z.enum(['anonymous', 'key', 'token']),
    id: z.string().nullable().meta({ description: 'Of a key its public id' }),
    name: z.string().nullable(),
    plan: z.string().nullable(),
    scopes: z.array(z.enum(SCOPES)),
    expires_at: expiresAt,
    limits: planLimits,
    used: perLimit(amount('Requests of this window; units of this day and month')),
    resets: perLimit(timestamp.nullable()).meta({ description: 'When each begins anew; null: no limit' }),
  })
  .meta({ id: 'Me' });
export type MeBody = z.output<typeof meAnswer>;
