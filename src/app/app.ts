/**
 * Builds the server from its services. Tests replace single services through the overrides of `buildApp`. This module
 * neither listens nor reads the environment.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Fastify, { type FastifyInstance } from 'fastify';
import { buildServices, type ServiceOverrides } from './services.js';
import { addAccessRoutes } from './access-routes.js';
import { openCallerLimits } from './caller-limits.js';
import { buildMetricsApp } from './metrics-app.js';
import type { Config } from '../config/config.js';
import { addAccess } from '../http/access/access-hook.js';
import { addAccessLog } from '../http/requests/access-log.js';
import { addAnswers } from '../http/requests/answer-record.js';
import { addClientLimit } from '../http/limits/client-limit.js';
import { addCommonHeaders, steadyHeadersOf } from '../http/answers/common-headers.js';
import { addErrorAnswers } from '../http/problems/error-handler.js';
import { createClientAddress } from '../http/requests/client-address.js';
import { createHostCheck } from '../http/limits/host-check.js';
import { createResponseCache, serveBeforeFastify } from '../http/response-cache/response-cache.js';
import { createListening } from '../http/connections/listening.js';
import { addLifeCycle } from '../http/connections/life-cycle.js';
import { collectRoutes } from '../http/openapi/collect-routes.js';
import type { DocumentedRoute } from '../http/openapi/document.js';
import { addOriginCheck } from '../http/limits/origin-check.js';
import { addOverloadProtection } from '../http/limits/overload.js';
import { boundPipelines } from '../http/connections/pipelines.js';
import { createRequestIds } from '../http/requests/request-id.js';
import { addServerLimits, serverOptions, SPARE_CONNECTIONS } from '../http/limits/server-limits.js';
import { addValidation } from '../http/problems/validation.js';
import { addWebSockets } from '../http/streams/websocket.js';
import { ledgerRoutes } from '../http/routes/ledger.js';
import { candleRoutes } from '../http/routes/candles.js';
import { dashboardRoutes } from '../http/routes/dashboard.js';
import { docsRoutes } from '../http/routes/docs.js';
import { graphqlRoutes } from '../http/routes/graphql.js';
import { healthRoutes } from '../http/routes/health.js';
import { marketRoutes } from '../http/routes/markets.js';
import { mcpRoutes } from '../http/routes/mcp.js';
import { metricsRoutes } from '../http/routes/metrics.js';
import { udfRoutes } from '../http/routes/udf.js';
import { tickersRoutes } from '../http/routes/tickers.js';
import { startRoutes } from '../http/routes/start.js';
import { statusRoutes } from '../http/routes/status.js';
import { isGraphiql } from '../http/openapi/documents.js';
import { createStatus } from '../http/health/status.js';
import { readGraphqlDocuments } from './graphql-documents.js';
import { createHealthFeed } from '../streams/clients/health-feed.js';
import { streamRoutes } from '../http/routes/streams.js';
import { addProxyWarning } from '../http/limits/proxy-warning.js';
import { createReadiness } from '../http/health/readiness.js';
import type { StdioDependencies } from '../mcp/stdio.js';
import { VERSION } from '../config/version.js';

declare module 'fastify' {
  interface FastifyInstance {
    /** Listens on every address of the host; resolves with the URLs. */
    listenOn(at: { readonly host: string; readonly port: number }): Promise<string[]>;
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Serves `/metrics` on METRICS_PORT; null where the main port serves it. Not listening yet. */
    metricsApp: FastifyInstance | null;
  }
}

export interface AppOverrides extends ServiceOverrides {
  /** Requests being answered at once. */
  readonly maxInFlight?: number;
  /** Folder of the documentation's files. */
  readonly documentation?: string;
  /** Folder of the page's files. */
  readonly dashboard?: string;
  /** How long a GraphQL WebSocket may take to send `connection_init`; default 3 s. */
  readonly graphqlInitTimeoutMs?: number | undefined;
  /** Filled with the routes, from which the OpenAPI document is made. */
  readonly documentedRoutes?: DocumentedRoute[];
}

/** Where the build puts the documentation; the path is the same from src and from dist. */
const DOCUMENTATION = fileURLToPath(new URL('../../dist/docs/', import.meta.url));
/** … and the page. */
const DASHBOARD = fileURLToPath(new URL('../../dist/dashboard/', import.meta.url));

/** The finished server, not listening yet. `close()` ends it and every service that it owns. */
export const buildApp = async (config: Config, overrides: AppOverrides = {}): Promise<FastifyInstance> => {
  const services = await buildServices(config, overrides);
  const {
    log,
    now,
    monotonic,
    names,
    exchanges,
    cache,
    marketData,
    hub,
    part,
    connections,
    gauge,
    ledger,
    sandbox,
    access,
    cluster,
  } = services;
  const limits = await openCallerLimits(config, services);
  const { quotas, metering, permits } = limits;
  const startedAt = performance.now();
  const requestIds = createRequestIds();
  const app = Fastify(serverOptions(config, requestIds));

  const cors = {
    corsOrigins: config.corsOrigins,
    clientLimit: quotas !== null,
    access: access !== null,
  };

  // Hooks run in the order of registration: metrics count every request first, then refusals come as early as possible.
  addAnswers(app);
  addCommonHeaders(app, cors);
  addErrorAnswers(app, { log, now });
  addValidation(app);
  if (overrides.documentedRoutes !== undefined) collectRoutes(app, overrides.documentedRoutes);
  addAccessLog(app, { log, mode: config.accessLog, now });
  const listening = createListening(app);
  app.decorate('listenOn', (at) => listening.listen(at));
  addLifeCycle(app, {
    giveUpCalls: () => services.giveUpCalls(),
    async close() {
      await app.metricsApp?.close();
      await listening.close();
      await limits.close();
      await services.close();
    },
  });
  const hostFault = createHostCheck(config.allowedHosts);
  const maxConnections = config.stream.maxConnections + SPARE_CONNECTIONS;
  addServerLimits(app, { maxConnections, requestId: requestIds, hostFault });
  if (quotas !== null && config.trustProxy === false) addProxyWarning(app, { log });
  const { metricsAuth, publicUrl } = config.access;
  const { issuers } = config.access.oauth;
  addAccess(app, { access, metricsAuth, publicUrl, issuers });
  addClientLimit(app, { quotas, metering, permits, windowName: access === null ? 'default' : 'window' });
  addOverloadProtection(app, { gauge, maxInFlight: overrides.maxInFlight });
  const metrics = services.metrics(() => app.inFlight());
  app.onAnswer((answer) => {
    metrics.recordAnswer(answer);
  });
  await addWebSockets(app, { connections, requestId: requestIds.next });
  addOriginCheck(app, { corsOrigins: config.corsOrigins });

  const uptime = (): number => (performance.now() - startedAt) / 1000;
  await app.register(healthRoutes, {
    version: VERSION,
    uptime,
    readiness: createReadiness({
      cache: () => cache.health(),
      store: () => ledger?.status() ?? null,
      access,
      cluster,
      exchanges: () => exchanges.health(),
      enabled: names.enabled,
      sandbox,
      draining: () => app.lifeCycle.draining,
      overloaded: () => app.isOverloaded(),
      now,
    }),
  });
  const dashboard =
    config.dashboard.enabled && existsSync(join(overrides.dashboard ?? DASHBOARD, 'index.html'));
  /** Of all processes of this server. */
  const allFeeds = () => part?.feeds.withOthers(hub.stats().feeds) ?? hub.stats().feeds;
  const status = createStatus({
    version: VERSION,
    uptime,
    sandbox,
    features: {
      store: ledger !== null,
      backfill_api: config.backfill.api,
      auth: access !== null,
      graphql: config.graphql.enabled,
      udf: config.udf,
      dashboard,
    },
    enabled: names.enabled,
    exchanges: () => exchanges.health(),
    hub: () => ({ feeds: allFeeds() }),
    ledger: () => services.ledgerStats(),
    cluster,
    now,
  });
  await app.register(statusRoutes, { status, refresh: () => part?.feeds.refresh() });
  const steadyHeaders = steadyHeadersOf(cors);
  const responseCache = createResponseCache(app, {
    now,
    steadyHeaders,
    admission: {
      access,
      hostFault,
      clientOf: createClientAddress(config.trustProxy),
      isOpen: () => !app.lifeCycle.draining && !app.isOverloaded(),
    },
  });
  if (steadyHeaders !== null) serveBeforeFastify(app, { cache: responseCache, requestId: requestIds.of });
  boundPipelines(app.server, app.pipelines);
  await app.register(marketRoutes, { marketData, responseCache, sandbox, now });
  await app.register(tickersRoutes, { marketData, sandbox, now });
  await app.register(candleRoutes, { marketData, responseCache, now });
  await app.register(ledgerRoutes, { marketData, ledger, backfillApi: config.backfill.api, sandbox });
  await app.register(streamRoutes, {
    ...{ hub, marketData, connections, now, monotonic },
    limits: limits.streams,
    health: createHealthFeed({ status, now, monotonic }),
  });
  await app.register(mcpRoutes, {
    marketData,
    ledger,
    sandbox,
    version: VERSION,
    corsOrigins: config.corsOrigins,
    countMore: (request, batch) => app.countMore(request, batch),
    answered: (request, units) => app.charge(request, units),
    onCall: (tool, outcome) => metrics.recordMcpCall(tool, outcome),
    isPrivate: access !== null,
    log,
    now,
  });
  await addAccessRoutes(app, { config, services, limits });
  const { graphql } = config;
  if (graphql.enabled)
    await app.register(graphqlRoutes, {
      ...{ marketData, ledger, status, hub, connections, responseCache, sandbox, now, monotonic },
      limits: graphql.limits,
      persisted: { mode: graphql.persisted, documents: await readGraphqlDocuments(graphql.documents) },
      requestTimeoutMs: config.requestTimeoutMs,
      meter: metrics.graphql,
      initTimeoutMs: overrides.graphqlInitTimeoutMs,
      limited: quotas !== null,
      introspection: graphql.introspection,
      charge: (request, units) => app.countMore(request, { more: units - 1, units }),
      chargeFor: (caller, units) => app.countFor(caller, units),
      permits,
      streamLimits: limits.streams,
    });
  if (config.udf)
    await app.register(udfRoutes, {
      ...{ marketData, sandbox, now },
      enabled: names.enabled.map(({ name }) => name),
    });
  app.decorate('metricsApp', null);
  if (config.metricsPort === null) await app.register(metricsRoutes, { metrics });
  else app.metricsApp = await buildMetricsApp(config, { metrics, access, requestIds, hostFault, log, now });
  await app.register(docsRoutes, {
    folder: overrides.documentation ?? DOCUMENTATION,
    mode: config.access.mode,
    without: (url) => isGraphiql(url) && !(graphql.enabled && graphql.ui),
  });
  if (dashboard)
    await app.register(dashboardRoutes, {
      folder: overrides.dashboard ?? DASHBOARD,
      watch: config.dashboard.watch,
      frameAncestors: config.dashboard.frameAncestors,
    });
  await app.register(startRoutes, { version: VERSION, dashboard });
  // Started once the server listens: health checks need no venue, and the first market request finds its thread running.
  app.addHook('onListen', (listening) => {
    services.start();
    listening();
  });
  return app;
};

/** The same services behind MCP over standard input and output; `close()` ends both. */
export const buildStdioServer = async (
  config: Config,
  overrides: ServiceOverrides & Pick<StdioDependencies, 'stdin' | 'stdout'> = {},
): Promise<{ readonly closed: Promise<void>; close(): Promise<void> }> => {
  const services = await buildServices(config, { ...overrides, access: null });
  const { marketData, ledger, cluster, sandbox, log, now } = services;
  const { serveStdio } = await import('../mcp/stdio.js');
  const { stdin = process.stdin, stdout = process.stdout } = overrides;
  cluster?.start();
  ledger?.start();
  const server = serveStdio({ marketData, ledger, sandbox, log, now, version: VERSION, stdin, stdout });
  return {
    closed: server.closed,
    async close() {
      await server.close();
      await services.close();
    },
  };
};
