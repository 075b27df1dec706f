/**
 * Where clients get tokens for this server (RFC 9728). Registered only where there are issuers: a client takes anything but
 * a 404 for the advice to begin an OAuth flow.
 */
import type { FastifyPluginCallback } from 'fastify';
import { resourceMetadata, RESOURCES, type ResourceSettings } from '../../access/oauth/protected-resource.js';
import { DEFAULT_SCOPES } from '../../access/principal.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';

/** Seconds for which the documents may be kept: they change with the settings only. */
const MAX_AGE = 3600;
/** Read before anything is known of the page: every page may. */
const ANY_ORIGIN = ['access-control-allow-origin', '*'] as const;

export const wellKnownRoutes: FastifyPluginCallback<ResourceSettings> = (app, settings, done) => {
  for (const { path, url } of RESOURCES) {
    // MCP asks for one scope, whatever else a caller might want later.
    const scopes = path === '/mcp' ? ['market:read'] : DEFAULT_SCOPES;
    const body = JSON.stringify(resourceMetadata(path, settings, scopes));
    app.get(url, { schema: { hide: true } }, (_request, reply) =>
      reply
        .header(...ANY_ORIGIN)
        .header('cache-control', `public, max-age=${MAX_AGE}`)
        .header('content-type', JSON_CONTENT_TYPE)
        .send(body),
    );
    app.options(url, { schema: { hide: true } }, (_request, reply) =>
      reply
        .code(204)
        .header(...ANY_ORIGIN)
        .header('access-control-allow-methods', 'GET, HEAD, OPTIONS')
        .header('access-control-allow-headers', 'Accept, Content-Type, Mcp-Protocol-Version')
        .send(),
    );
  }
  done();
};
