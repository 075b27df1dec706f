/** Collects the routes as they are added, and makes their OpenAPI document when it is first wanted. */
import type { FastifyInstance } from 'fastify';
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
  let document: Promise<string> | undefined;
  app.addHook('onRoute', ({ method, url, schema }) => {
    // HEAD goes without saying wherever there is GET.
    if (method !== 'HEAD' && schema !== undefined) routes.push({ method, url, schema });
  });
  app.decorate('openApi', () => {
    document ??= import('./document.js').then(({ buildOpenApiDocument }) =>
      buildOpenApiDocument(routes, options),
    );
    return document;
  });
};
