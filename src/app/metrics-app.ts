/** `/metrics` on a port of its own, which a firewall can block; with the same connection limits as the main port. */
import Fastify, { type FastifyInstance } from 'fastify';
import type { Access } from '../access/access.js';
import type { Config } from '../config/config.js';
import { addAnswers } from '../http/requests/answer-record.js';
import { addCommonHeaders } from '../http/answers/common-headers.js';
import { addErrorAnswers } from '../http/problems/error-handler.js';
import { addValidation } from '../http/problems/validation.js';
import type { HostFault } from '../http/limits/host-check.js';
import { boundPipelines } from '../http/connections/pipelines.js';
import type { RequestIds } from '../http/requests/request-id.js';
import { metricsRoutes } from '../http/routes/metrics.js';
import { addAccess } from '../http/access/access-hook.js';
import { addServerLimits, serverOptions } from '../http/limits/server-limits.js';
import type { Log } from '../log/log.js';
import type { Metrics } from '../metrics/metrics.js';

/** Connections; only scrapers use this port. */
const MAX_CONNECTIONS = 100;

export interface MetricsAppOptions {
  readonly metrics: Metrics;
  /** null: AUTH_MODE=off. */
  readonly access: Access | null;
  readonly requestIds: RequestIds;
  readonly hostFault: HostFault;
  readonly log: Log;
  readonly now: () => number;
}

/** Not listening yet. */
export const buildMetricsApp = async (
  config: Config,
  options: MetricsAppOptions,
): Promise<FastifyInstance> => {
  const { metrics, access, requestIds, hostFault, log, now } = options;
  const app = Fastify(serverOptions(config, requestIds));
  addAnswers(app);
  addCommonHeaders(app, { corsOrigins: [] });
  addErrorAnswers(app, { log, now });
  addValidation(app);
  addServerLimits(app, { maxConnections: MAX_CONNECTIONS, requestId: requestIds, hostFault });
  const { metricsAuth, publicUrl, oauth } = config.access;
  addAccess(app, { access, metricsAuth, publicUrl, issuers: oauth.issuers });
  boundPipelines(app.server, app.pipelines);
  await app.register(metricsRoutes, { metrics });
  return app;
};
