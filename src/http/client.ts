/** Who asks: the one word by which limits, places and turns tell clients apart. */
import type { FastifyRequest } from 'fastify';
import { clientKey } from '../access/client-limiter.js';

/** A connection that was reset before its request was read has no address any more; its client takes no answer either. */
const GONE = 'gone';

/** The address of the client, behind the proxies that TRUST_PROXY names; an IPv6 one as its /64. */
export const clientOf = (request: FastifyRequest): string => {
  // Fastify's type leaves the gone connection out.
  const { ip }: { readonly ip?: string } = request;
  return ip === undefined ? GONE : clientKey(ip);
};
