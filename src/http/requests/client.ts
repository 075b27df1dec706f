/** The key by which limits, stream slots and queues tell clients apart. */
import { clientKey } from '../../access/client-limiter.js';

/** A connection that was reset before its request was read has no address any more; its client takes no answer either. */
const GONE = 'gone';

/**
 * The address of the client, behind the proxies that TRUST_PROXY names; an IPv6 one as its /64. `ip` is Fastify's,
 * whose type leaves out that it may be missing.
 */
export const clientOf = ({ ip }: { readonly ip?: string | undefined }): string =>
  ip === undefined ? GONE : clientKey(ip);
