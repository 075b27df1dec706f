/** Collects the routes as they are added, for the OpenAPI document that the build makes of them. */
import type { FastifyInstance } from 'fastify';
import type {} from '../access/access-hook.js';
import type {} from '../limits/client-limit.js';
import type { DocumentedRoute } from './document.js';

/** Installed on the root instance, before any route; `routes` is filled while they are added. */
export const collectRoutes = (app: FastifyInstance, routes: DocumentedRoute[]): void => {
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    // HEAD goes without saying wherever there is GET.
    if (method === 'HEAD' || schema === undefined) return;
    routes.push({
      method,
      url,
      schema,
      unlimited: config?.unlimited === true,
      quotaFree: config?.quotaFree === true,
      takesTicket: config?.ticket !== undefined,
    });
  });
};
