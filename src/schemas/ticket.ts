/** Tickets for streams in browsers. */
import { z } from 'zod';
import { timestamp } from './common.js';

const purpose = z.enum(['sse', 'ws', 'graphql'], 'must be sse, ws or graphql').meta({
  description: 'What it opens: an event stream, a WebSocket, or a GraphQL subscription',
  example: 'sse',
});

export const ticketRequest = z.strictObject({ purpose }).meta({ id: 'TicketRequest' });

export const ticketAnswer = z
  .object({
    ticket: z.string().meta({ description: 'Goes into the query parameter `ticket`', example: 'cdt_…' }),
    purpose,
    expires_at: timestamp.meta({ description: 'When it can be used no more, ms since the epoch' }),
  })
  .meta({ id: 'Ticket' });
