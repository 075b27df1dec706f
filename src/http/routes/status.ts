/** GET /v1/status: how the server, its exchanges and its store are, for people who watch them. */
import type { FastifyPluginCallback } from 'fastify';
import { serverStatus, type ServerStatus } from '../../schemas/status.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';

export interface StatusRoutesOptions {
  readonly status: () => ServerStatus;
  /** Of what other processes of this server know; default: there are none. */
  readonly refresh?: (() => Promise<void> | undefined) | undefined;
}

const STATUS = {
  tags: ['health'],
  operationId: 'getStatus',
  summary: 'How the server and its exchanges are',
  description: 'Made from memory: asks no exchange. Whether traffic may be sent here, /v1/health/ready says.',
  'x-answer': serverStatus,
};

export const statusRoutes: FastifyPluginCallback<StatusRoutesOptions> = (app, { status, refresh }, done) => {
  app.get('/v1/status', { schema: STATUS }, async (_request, reply) => {
    await refresh?.();
    return reply
      .header('cache-control', 'no-store')
      .header('content-type', JSON_CONTENT_TYPE)
      .send(JSON.stringify(status()));
  });
  done();
};
