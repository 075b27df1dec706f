/** X-Request-Id: an incoming one of bounded length and charset is kept, so that a caller can follow its request through our log. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Bounded length and charset: an id is repeated in headers, bodies and log lines. */
const ACCEPTED_ID = /^[A-Za-z0-9._:/+=@-]{1,64}$/;

export interface RequestIds {
  /** The id of a request: its own, where the request brings one that is accepted. */
  readonly of: (request: Pick<IncomingMessage, 'headers'>) => string;
  /** A new one. */
  readonly next: () => string;
}

/** Ids that are unique across restarts and servers: a random prefix per process and a counter. */
export const createRequestIds = (prefix = randomBytes(6).toString('hex')): RequestIds => {
  let count = 0;
  const next = (): string => {
    count += 1;
    return `${prefix}-${count.toString(36)}`;
  };
  const of: RequestIds['of'] = ({ headers }) => {
    const incoming = headers['x-request-id'];
    return typeof incoming === 'string' && ACCEPTED_ID.test(incoming) ? incoming : next();
  };
  return { of, next };
};
