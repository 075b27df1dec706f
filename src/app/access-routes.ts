/** The routes that there are where access is on; imported only then. */
import type { FastifyInstance } from 'fastify';
import type { CallerLimits } from './caller-limits.js';
import type { Services } from './services.js';
import type { Config } from '../config/config.js';

export interface AccessRoutesDeps {
  readonly config: Pick<Config, 'access'>;
  readonly services: Pick<Services, 'access' | 'names' | 'now'>;
  readonly limits: CallerLimits;
}

export const addAccessRoutes = async (
  app: FastifyInstance,
  { config, services, limits }: AccessRoutesDeps,
): Promise<void> => {
  const { access, names, now } = services;
  const { quotas, metering } = limits;
  if (access === null || quotas === null || metering === null) return;
  const [{ meRoutes }, { ticketRoutes }] = await Promise.all([
    import('../http/routes/me.js'),
    import('../http/routes/tickets.js'),
  ]);
  await app.register(ticketRoutes);
  await app.register(meRoutes, { quotas, metering });
  const { publicUrl, oauth } = config.access;
  if (publicUrl !== null && oauth.issuers.length > 0) {
    const { wellKnownRoutes } = await import('../http/routes/well-known.js');
    await app.register(wellKnownRoutes, { publicUrl, issuers: oauth.issuers });
  }
  if (!config.access.adminApi) return;
  const { adminRoutes } = await import('../http/routes/admin.js');
  await app.register(adminRoutes, {
    access,
    flush: () => metering.flush(),
    checkExchange: (name) => {
      names.resolveKnown(name);
    },
    now,
  });
};
