/** GET /v1/status: how the server, its exchanges and its store are, for people who watch them. */
import type { FastifyPluginCallback } from 'fastify';
import { serverStatus, type ServerStatus } from '../../schemas/status.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';

export interface StatusRoutesOptions {
  readonly status: () => ServerStatus;
}

const STATUS = {
  tags: ['health'],
  operationId: 'getStatus',
  summary: 'How the server and its exchanges are',
  description: 'Made from memory: asks no exchange. Whether traffic may be sent here, /v1/health/ready says.',
  'x-answer': serverStatus,
};

export const statusRoutes: FastifyPluginCallback<StatusRoutesOptions> = (app, { status }, done) => {
  app.get('/v1/status', { schema: STATUS }, (_request, reply) =>
    reply
      .header('cache-control', 'no-store')
      .header('content-type', JSON_CONTENT_TYPE)
      .send(JSON.stringify(status())),
  );
  done();
};
