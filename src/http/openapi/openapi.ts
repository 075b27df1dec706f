/** Collects the routes as they are added, and makes their OpenAPI document when it is first wanted. */
import type { FastifyInstance } from 'fastify';
import type {} from '../client-limit.js';
import { untilLoaded } from '../../lib/once.js';
import type { DocumentedRoute } from './document.js';

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI 3.1 document as JSON text; made once. */
    openApi(): Promise<string>;
  }
}

/** Installed on the root instance, before any route. */
export const addOpenApi = (app: FastifyInstance, options: { readonly version: string }): void => {
  const routes: DocumentedRoute[] = [];
  const document = untilLoaded(async () => {
    const { buildOpenApiDocument } = await import('./document.js');
    return buildOpenApiDocument(routes, options);
  });
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    // HEAD goes without saying wherever there is GET.
    if (method !== 'HEAD' && schema !== undefined)
      routes.push({ method, url, schema, unlimited: config?.unlimited === true });
  });
  app.decorate('openApi', document);
};
