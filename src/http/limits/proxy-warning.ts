/** Warns of a client limit that sees only the proxy's address, so that all clients share one limit. */
import type { FastifyInstance } from 'fastify';
import type { Log } from '../../log/log.js';

/** Installed where a client limit is on and TRUST_PROXY is off. Warns once, at the first sign of a proxy. */
export const addProxyWarning = (app: FastifyInstance, { log }: { readonly log: Log }): void => {
  let warned = false;
  app.addHook('onRequest', (request, _reply, done) => {
    const { 'x-forwarded-for': forwardedFor, forwarded } = request.headers;
    if (!warned && (forwardedFor !== undefined || forwarded !== undefined)) {
      warned = true;
      log.warn(
        { proxy: request.ip },
        'a proxy forwards requests, but TRUST_PROXY is off: the client limit takes all clients behind it for one; ' +
          'set TRUST_PROXY to the number of proxies or to their addresses',
      );
    }
    done();
  });
};
