/** `/v1/admin`: keys, plans, usage and the audit, for callers with the scope admin. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Access } from '../../access/access.js';
import { storeAnswer } from '../../access/admit.js';
import { DEFAULT_PLAN, UNLIMITED, type Plan } from '../../access/plan.js';
import { bodyOfLimits, limitsOfBody, limitsOfText, textOfLimits } from '../../access/plan-limits.js';
import type { Scope } from '../../access/principal.js';
import type { KeyChange, KeyRow } from '../../access/store/store.js';
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import {
  auditAnswer,
  auditQuery,
  issuedKey,
  keyChangeBody,
  keyParams,
  keyRecord,
  keysAnswer,
  keysQuery,
  newKeyBody,
  planLimits,
  planParams,
  planRecord,
  plansAnswer,
  revokedKey,
  rotateBody,
  rotatedKey,
  usageAnswer,
  usageQuery,
  type KeyRecord,
  type PlanRecord,
} from '../../schemas/access.js';
import { etagOf } from '../../cache/etag.js';
import { lacksScope } from '../access/access-hook.js';
import { sendJson } from '../answers/json-answer.js';

export interface AdminRoutesOptions {
  readonly access: Pick<Access, 'keys' | 'store' | 'changed'>;
  /** Writes what this server has counted. */
  readonly flush: () => Promise<void>;
  /** Throws `unknown_exchange` for a name that CCXT does not know. */
  readonly checkExchange: (name: string) => void;
  readonly now: () => Millis;
}

/** Days of usage where the query names no time. */
const USAGE_DAYS_MS = 31 * 86_400_000;

const tags = ['admin'];
/** Costs no units, and is answered when the day is used up. */
const config = { units: 0, quotaFree: true };
const SCHEMAS = {
  create: {
    tags,
    operationId: 'createKey',
    summary: 'Make a key',
    description:
      'The key itself is in this answer and nowhere else. Without a plan it has the plan `default`.',
    body: newKeyBody,
    'x-responses': { 201: issuedKey },
    'x-errors': ['invalid_request', 'not_found'],
  },
  list: {
    tags,
    operationId: 'listKeys',
    summary: 'Keys, oldest first',
    description: 'In pages: `next_cursor` leads to the next one.',
    querystring: keysQuery,
    'x-answer': keysAnswer,
    'x-errors': ['invalid_request', 'not_found'],
  },
  one: {
    tags,
    operationId: 'getKey',
    summary: 'One key',
    description: 'Never its secret.',
    params: keyParams,
    'x-answer': keyRecord,
    'x-errors': ['not_found'],
  },
  change: {
    tags,
    operationId: 'changeKey',
    summary: 'Change a key',
    description: 'Acts at once, on every server.',
    params: keyParams,
    body: keyChangeBody,
    'x-answer': keyRecord,
    'x-errors': ['invalid_request', 'not_found'],
  },
  rotate: {
    tags,
    operationId: 'rotateKey',
    summary: 'Replace a key by a new one',
    description: 'Limits and quotas go on. The old key is good for `overlap` seconds more; 0 after a leak.',
    params: keyParams,
    body: rotateBody,
    'x-answer': rotatedKey,
    'x-errors': ['invalid_request', 'not_found'],
  },
  revoke: {
    tags,
    operationId: 'revokeKey',
    summary: 'Revoke a key',
    description: 'At once; its streams end. Again: the same answer.',
    params: keyParams,
    'x-answer': revokedKey,
    'x-errors': ['not_found'],
  },
  plans: {
    tags,
    operationId: 'listPlans',
    summary: 'Plans',
    description: 'By name; what a plan leaves out is unlimited.',
    'x-answer': plansAnswer,
    'x-errors': ['not_found'],
  },
  setPlan: {
    tags,
    operationId: 'setPlan',
    summary: 'Set a plan',
    description: 'Replaces the plan as a whole, and acts at once on every key that has it.',
    params: planParams,
    body: planLimits,
    'x-answer': planRecord,
    'x-errors': ['invalid_request', 'unknown_exchange', 'not_found'],
  },
  usage: {
    tags,
    operationId: 'getUsage',
    summary: 'What keys have used, by the hour',
    description: 'Oldest first. Other servers write what they counted every 10 seconds.',
    querystring: usageQuery,
    'x-answer': usageAnswer,
    'x-errors': ['invalid_request', 'not_found'],
  },
  audit: {
    tags,
    operationId: 'getAudit',
    summary: 'Who changed what, newest first',
    description: 'Changes of keys and plans, over this API and the command line.',
    querystring: auditQuery,
    'x-answer': auditAnswer,
    'x-errors': ['invalid_request', 'not_found'],
  },
} as const;

const recordOf = (row: KeyRow): KeyRecord => ({
  id: row.id,
  name: row.name,
  last4: row.last4,
  scopes: [...row.scopes],
  plan: row.plan,
  created_at: row.createdAt,
  expires_at: row.expiresAt,
  revoked_at: row.revokedAt,
  rotated_to: row.rotatedTo,
  leaked_at: row.leakedAt,
});

const planOf = ({ name, limits }: Plan): PlanRecord => ({ name, ...bodyOfLimits(limits) });

const found = <T>(value: T | null): T => {
  if (value !== null) return value;
  throw new AppError('not_found', 'There is no key with this id.');
};

const send = (request: FastifyRequest, reply: FastifyReply, value: object): FastifyReply => {
  const body = Buffer.from(JSON.stringify(value));
  reply.header('cache-control', 'no-store');
  return sendJson(request, reply, { body, etag: etagOf(body) });
};

/** No caller may grant a scope that it lacks, whether by a new key, a changed one, or the new secret of one that has it. */
const requireOwn = ({ principal }: FastifyRequest, scopes: readonly Scope[]): void => {
  const lacking = scopes.find((scope) => principal?.has(scope) !== true);
  if (lacking !== undefined) throw lacksScope(lacking);
};

const actorOf = ({ principal }: FastifyRequest): string => principal?.id ?? 'unknown';

export const adminRoutes: FastifyPluginCallbackZod<AdminRoutesOptions> = (app, options, done) => {
  const { access, flush, checkExchange, now } = options;
  const { keys } = access;

  app.post('/v1/admin/keys', { schema: SCHEMAS.create, config }, async (request, reply) => {
    const { name, scopes, plan = DEFAULT_PLAN, expires_at: expiresAt = null } = request.body;
    requireOwn(request, scopes);
    const { row, key } = await keys.create({ name, scopes, plan, expiresAt }, actorOf(request));
    return send(request, reply.code(201), { ...recordOf(row), key });
  });

  app.get('/v1/admin/keys', { schema: SCHEMAS.list, config }, async (request, reply) => {
    const { limit, cursor = null } = request.query;
    // One more than is shown tells whether there are more.
    const rows = await keys.list({ limit: limit + 1, after: cursor });
    const shown = rows.slice(0, limit);
    const next = rows.length > limit ? (shown.at(-1)?.id ?? null) : null;
    return send(request, reply, { keys: shown.map(recordOf), next_cursor: next });
  });

  app.get('/v1/admin/keys/:id', { schema: SCHEMAS.one, config }, async (request, reply) =>
    send(request, reply, recordOf(found(await keys.find(request.params.id)))),
  );

  app.patch('/v1/admin/keys/:id', { schema: SCHEMAS.change, config }, async (request, reply) => {
    const { id } = request.params;
    const { expires_at: expiresAt, scopes, name, plan } = request.body;
    requireOwn(request, scopes ?? []);
    found(await keys.find(id));
    const change: KeyChange = {
      ...(name === undefined ? {} : { name }),
      ...(scopes === undefined ? {} : { scopes }),
      ...(plan === undefined ? {} : { plan }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
    };
    return send(request, reply, recordOf(found(await keys.update(id, change, actorOf(request)))));
  });

  app.post('/v1/admin/keys/:id/rotate', { schema: SCHEMAS.rotate, config }, async (request, reply) => {
    const { id } = request.params;
    const old = found(await keys.find(id));
    requireOwn(request, old.scopes);
    const issued = await keys.rotate(id, request.body.overlap * 1000, actorOf(request));
    if (issued === null)
      throw new AppError('invalid_request', 'This key is revoked, or was rotated to another one.');
    return send(request, reply, { id: issued.row.id, key: issued.key });
  });

  app.delete('/v1/admin/keys/:id', { schema: SCHEMAS.revoke, config }, async (request, reply) => {
    const { row, confirmed } = found(await keys.revoke(request.params.id, actorOf(request)));
    return send(request, reply, { id: row.id, revoked_at: row.revokedAt, confirmed });
  });

  app.get('/v1/admin/plans', { schema: SCHEMAS.plans, config }, async (request, reply) => {
    const rows = await storeAnswer(() => access.store().plans());
    const plans = rows.map(({ name, limits }) => planOf({ name, limits: limitsOfText(limits) }));
    const isSet = plans.some(({ name }) => name === DEFAULT_PLAN);
    const all = isSet ? plans : [planOf({ name: DEFAULT_PLAN, limits: UNLIMITED }), ...plans];
    return send(request, reply, { plans: all });
  });

  app.put('/v1/admin/plans/:name', { schema: SCHEMAS.setPlan, config }, async (request, reply) => {
    const { name } = request.params;
    const limits = limitsOfBody(request.body);
    for (const exchange of limits.exchanges ?? []) checkExchange(exchange);
    const author = { actor: actorOf(request), at: now() };
    await storeAnswer(() => access.store().setPlan({ name, limits: textOfLimits(limits) }, author));
    await access.changed();
    return send(request, reply, planOf({ name, limits }));
  });

  app.get('/v1/admin/usage', { schema: SCHEMAS.usage, config }, async (request, reply) => {
    const { key = null, since = now() - USAGE_DAYS_MS, limit } = request.query;
    await flush();
    const rows = await storeAnswer(() => access.store().usage({ keyId: key, since, limit }));
    const usage = rows.map(({ keyId, streamSeconds, ...row }) => ({
      key_id: keyId,
      ...row,
      stream_seconds: streamSeconds,
    }));
    return send(request, reply, { usage });
  });

  app.get('/v1/admin/audit', { schema: SCHEMAS.audit, config }, async (request, reply) =>
    send(request, reply, { entries: await storeAnswer(() => access.store().audit(request.query.limit)) }),
  );
  done();
};
