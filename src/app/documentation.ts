/**
 * Makes the documentation's files: the OpenAPI document from the routes of an app that never listens, the AsyncAPI
 * document, and the pages with their scripts. Run by the build, so that a server only sends files.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync, constants } from 'node:zlib';
import Fastify from 'fastify';
import { loadConfig } from '../config/config.js';
import { VERSION } from '../config/version.js';
import {
  graphiqlAsset,
  graphiqlLicences,
  reactAsset,
  redocBundle,
  redocLicences,
  swaggerAsset,
} from '../http/openapi/assets.js';
import { buildOpenApiDocument, type DocumentedRoute } from '../http/openapi/document.js';
import { collectRoutes } from '../http/openapi/collect-routes.js';
import { DOCUMENTS, fileOf, type DocumentFile, type DocumentUrl } from '../http/openapi/documents.js';
import {
  errorsPage,
  graphiqlPage,
  graphiqlStart,
  redocPage,
  redocStart,
  swaggerPage,
  swaggerStart,
} from '../http/openapi/pages.js';
import { adminRoutes } from '../http/routes/admin.js';
import { meRoutes } from '../http/routes/me.js';
import { ticketRoutes } from '../http/routes/tickets.js';
import { addValidation } from '../http/problems/validation.js';
import { silentLog } from '../log/log.js';
import { AUTH_MODES, type AuthMode } from '../schemas/access.js';
import { asyncApiDocument } from '../schemas/asyncapi.js';
import { buildApp } from './app.js';

const neverCalled = (): never => {
  throw new Error('These routes are described, nobody calls them.');
};

/** The routes that a server has where access is on: without a store of keys, which they would need to be called. */
const accessRoutes = async (): Promise<DocumentedRoute[]> => {
  const routes: DocumentedRoute[] = [];
  const app = Fastify({ logger: false });
  collectRoutes(app, routes);
  addValidation(app);
  await app.register(ticketRoutes);
  await app.register(meRoutes, { quotas: { standing: neverCalled }, metering: { learn: neverCalled } });
  const keys = {
    ...{ create: neverCalled, list: neverCalled, find: neverCalled },
    ...{ update: neverCalled, rotate: neverCalled, revoke: neverCalled },
  };
  await app.register(adminRoutes, {
    access: { keys, store: neverCalled, changed: neverCalled },
    ...{ flush: neverCalled, checkExchange: neverCalled, now: neverCalled },
  });
  await app.close();
  return routes;
};

const documentedRoutes = async (): Promise<DocumentedRoute[]> => {
  const routes: DocumentedRoute[] = [];
  const config = loadConfig({ REDIS_ENABLED: 'false' });
  const app = await buildApp(config, { log: silentLog, redis: null, documentedRoutes: routes });
  await app.close();
  return [...routes, ...(await accessRoutes())];
};

/** The OpenAPI 3.1 document of servers of `mode`, as JSON text. It needs no exchange, no Redis and no network. */
export const makeOpenApi = async (mode: AuthMode): Promise<string> =>
  buildOpenApiDocument(await documentedRoutes(), { version: VERSION, mode });

type Contents = Readonly<Record<DocumentUrl, string | Buffer>>;

/** The documents that there are for each AUTH_MODE. */
const apiDocuments = async (mode: AuthMode) => ({
  '/openapi.json': await makeOpenApi(mode),
  '/asyncapi.json': JSON.stringify(asyncApiDocument({ version: VERSION, mode })),
});

/** Writes every document below `folder`, each with a gzip-compressed copy. */
export const writeDocumentation = async (folder: string): Promise<void> => {
  const pages: Omit<Contents, keyof Awaited<ReturnType<typeof apiDocuments>>> = {
    '/docs': swaggerPage,
    '/docs/start.js': swaggerStart,
    '/docs/swagger-ui-bundle.js': await swaggerAsset('swagger-ui-bundle.js'),
    '/docs/swagger-ui.css': await swaggerAsset('swagger-ui.css'),
    '/docs/errors': errorsPage(),
    '/redoc': redocPage,
    '/redoc/start.js': redocStart,
    '/redoc/redoc.standalone.js': await redocBundle(),
    '/graphiql': graphiqlPage,
    '/graphiql/start.js': graphiqlStart,
    '/graphiql/graphiql.min.js': await graphiqlAsset('graphiql.min.js'),
    '/graphiql/graphiql.min.css': await graphiqlAsset('graphiql.min.css'),
    '/graphiql/react.production.min.js': await reactAsset('react'),
    '/graphiql/react-dom.production.min.js': await reactAsset('react-dom'),
  };
  const write = async (file: string, body: string | Buffer): Promise<void> => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), body);
  };
  const written = new Set<string>();
  for (const mode of AUTH_MODES) {
    const contents: Contents = { ...pages, ...(await apiDocuments(mode)) };
    for (const [url, document] of Object.entries<DocumentFile>(DOCUMENTS)) {
      const file = fileOf(document, mode);
      if (written.has(file)) continue;
      written.add(file);
      const body = contents[url as DocumentUrl];
      await write(file, body);
      await write(`${file}.gz`, gzipSync(body, { level: constants.Z_BEST_COMPRESSION }));
    }
  }
  const licences = { ...(await redocLicences()), ...(await graphiqlLicences()) };
  for (const [file, body] of Object.entries(licences)) await write(file, body);
};
