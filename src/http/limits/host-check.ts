/**
 * Which hosts this server answers for. A page on a foreign site can let its own name lead to this server's address (DNS
 * rebinding); the browser then treats the server as a part of that site, and neither CORS nor Origin prevents it.
 * The Host header still names the foreign site.
 */
import type { IncomingMessage } from 'node:http';
import { AppError } from '../../errors.js';

/** What refuses a request for its Host; undefined for those that may be served. */
export type HostFault = (request: Pick<IncomingMessage, 'headers'>) => AppError | undefined;

/** This machine's own names, which no foreign site can have: always allowed, so that health checks from inside work. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];

const errors = [{ parameter: 'Host', reason: 'is not a host that this server answers for (ALLOWED_HOSTS)' }];

/** A host without its port, lower case; the dot that ends a fully qualified name is cut. */
const nameOf = (host: string): string => host.trim().toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');

/** `allowed` null: any host. */
export const createHostCheck = (allowed: readonly string[] | null): HostFault => {
  if (allowed === null) return () => undefined;
  const names = new Set([...LOOPBACK_NAMES, ...allowed.map(nameOf)]);
  /** The last host that was allowed: clients name the same one with every request. */
  let last: string | undefined;
  return ({ headers: { host } }) => {
    // HTTP/1.0 may leave it out; no browser does.
    if (host === undefined || host === last) return undefined;
    if (names.has(nameOf(host))) {
      last = host;
      return undefined;
    }
    return new AppError('invalid_request', 'This server does not answer for this host.', { errors });
  };
};
