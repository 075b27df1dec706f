/**
 * CORS for WebSockets. Browsers make no preflight before a page opens one, and let it read all messages, so what CORS
 * does for every other answer (SSE included: an EventSource without a matching header is closed by the browser) is done
 * here. A client that is no browser sends no Origin and passes, and so does a page of this server's own host: browsers
 * send an Origin with its sockets too. A foreign page that leads its own name here (DNS rebinding) is stopped by
 * ALLOWED_HOSTS (host-check.ts), which comes first.
 */
import type { FastifyInstance } from 'fastify';
import type {} from '@fastify/websocket';
import { AppError } from '../../errors.js';

export interface OriginCheckOptions {
  /** Origins whose pages may connect, beside clients without a page; true: every one. */
  readonly corsOrigins: true | readonly string[];
}

const errors = [{ parameter: 'Origin', reason: 'is not one of the origins that may connect (CORS_ORIGIN)' }];

/**
 * Is a page of `origin` one of the host that was asked? The scheme is not compared: a proxy that ends TLS passes `Host` on,
 * and not whether the page came by HTTPS.
 */
const isOwnPage = (origin: string, host: string | undefined): boolean => {
  if (host === undefined) return false;
  const page = URL.canParse(origin) ? new URL(origin) : null;
  if (page === null || !/^https?:$/.test(page.protocol)) return false;
  const asked = `${page.protocol}//${host}`;
  return URL.canParse(asked) && new URL(asked).origin === page.origin;
};

/** Installed on the root instance, after WebSocket's own hook: refused upgrades are `origin_not_allowed`. */
export const addOriginCheck = (app: FastifyInstance, { corsOrigins }: OriginCheckOptions): void => {
  if (corsOrigins === true) return;
  const allowed = new Set(corsOrigins);
  app.addHook('onRequest', (request, _reply, done) => {
    const { origin } = request.headers;
    const foreign =
      request.ws && origin !== undefined && !allowed.has(origin) && !isOwnPage(origin, request.host);
    const detail = 'Pages of this origin may not connect to this server.';
    done(foreign ? new AppError('origin_not_allowed', detail, { errors }) : undefined);
  });
};
