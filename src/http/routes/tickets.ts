/** POST /v1/tickets: what a browser opens a stream with, in the place of a credential. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { AppError } from '../../errors.js';
import { ticketAnswer, ticketRequest } from '../../schemas/ticket.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';

const ISSUE = {
  tags: ['access'],
  operationId: 'createTicket',
  summary: 'Take a ticket for one stream',
  description: `A ticket stands for the credential of this request: once, within AUTH_TICKET_TTL seconds, for one purpose, from
the same Origin. It goes into the query parameter \`ticket\` of \`/v1/stream/ticker\` (purpose \`sse\`) or \`/ws\` and
\`/ws/ticker\` (\`ws\`). 404 where AUTH_MODE=off.`,
  body: ticketRequest,
  'x-responses': { 201: ticketAnswer },
  'x-errors': ['invalid_request' as const],
};

export const ticketRoutes: FastifyPluginCallbackZod = (app, _options, done) => {
  app.post(
    '/v1/tickets',
    { config: { units: 0, quotaFree: true }, schema: ISSUE },
    async (request, reply) => {
      const { principal } = request;
      if (app.access === null || principal === null)
        throw new AppError('not_found', 'There is nothing here.');
      const { purpose } = request.body;
      const { ticket, expiresAt } = await app.access.tickets.issue(principal, {
        purpose,
        origin: request.headers.origin,
      });
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .header('content-type', JSON_CONTENT_TYPE)
        .send(JSON.stringify({ ticket, purpose, expires_at: expiresAt }));
    },
  );
  done();
};
