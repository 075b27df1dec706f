/** `GET /v1/me`: who the caller is here, what its plan allows, and how much of it is used. */
import type { FastifyPluginCallback } from 'fastify';
import type { Metering } from '../../access/metering.js';
import { bodyOfLimits } from '../../access/plan-limits.js';
import type { Quotas } from '../../access/quotas.js';
import { AppError } from '../../errors.js';
import { meAnswer, type MeBody } from '../../schemas/access.js';
import { etagOf } from '../../cache/etag.js';
import { clientOf } from '../requests/client.js';
import { sendJson } from '../answers/json-answer.js';

export interface MeRouteOptions {
  readonly quotas: Pick<Quotas, 'standing'>;
  readonly metering: Pick<Metering, 'learn'>;
}

const SCHEMA = {
  tags: ['access'],
  operationId: 'getMe',
  summary: 'Who you are here',
  description: 'Your plan, its limits and what of them is used. Costs no units.',
  'x-answer': meAnswer,
};

export const meRoutes: FastifyPluginCallback<MeRouteOptions> = (app, { quotas, metering }, done) => {
  app.get('/v1/me', { schema: SCHEMA, config: { units: 0, quotaFree: true } }, async (request, reply) => {
    const { principal } = request;
    if (principal === null) throw new AppError('internal_error', 'A caller is not known.');
    await metering.learn(principal);
    const caller = { principal, client: clientOf(request) };
    const isAnonymous = principal.kind === 'anonymous';
    const body: MeBody = {
      type: principal.kind,
      id: isAnonymous ? null : principal.id,
      name: isAnonymous ? null : principal.name,
      plan: principal.plan.name,
      scopes: [...principal.scopes],
      expires_at: principal.expiresAt === null ? null : principal.expiresAt - principal.toleranceMs,
      limits: bodyOfLimits(principal.plan.limits),
      ...quotas.standing(caller),
    };
    const bytes = Buffer.from(JSON.stringify(body));
    reply.header('cache-control', 'private, no-cache').header('vary', 'Authorization, X-API-Key');
    return sendJson(request, reply, { body: bytes, etag: etagOf(bytes) });
  });
  done();
};
