/**
 * Makes the documentation's files: the OpenAPI document from the routes of an app that never listens, the AsyncAPI
 * document, and the pages with their scripts. Run by the build, so that a server only sends files.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync, constants } from 'node:zlib';
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
import { DOCUMENTS, type DocumentUrl } from '../http/openapi/documents.js';
import {
  errorsPage,
  graphiqlPage,
  graphiqlStart,
  redocPage,
  redocStart,
  swaggerPage,
  swaggerStart,
} from '../http/openapi/pages.js';
import { silentLog } from '../log/log.js';
import { asyncApiDocument } from '../schemas/asyncapi.js';
import { buildApp } from './app.js';

/** The OpenAPI 3.1 document as JSON text. It needs no exchange, no Redis and no network. */
export const makeOpenApi = async (): Promise<string> => {
  const routes: DocumentedRoute[] = [];
  const config = loadConfig({ REDIS_ENABLED: 'false' });
  const app = await buildApp(config, { log: silentLog, redis: null, documentedRoutes: routes });
  await app.close();
  return buildOpenApiDocument(routes, { version: VERSION });
};

/** Writes every document below `folder`, each with a gzip-compressed copy. */
export const writeDocumentation = async (folder: string): Promise<void> => {
  const contents: Readonly<Record<DocumentUrl, string | Buffer>> = {
    '/openapi.json': await makeOpenApi(),
    '/asyncapi.json': JSON.stringify(asyncApiDocument({ version: VERSION })),
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
  for (const [url, { file }] of Object.entries(DOCUMENTS)) {
    const body = contents[url as DocumentUrl];
    await write(file, body);
    await write(`${file}.gz`, gzipSync(body, { level: constants.Z_BEST_COMPRESSION }));
  }
  const licences = { ...(await redocLicences()), ...(await graphiqlLicences()) };
  for (const [file, body] of Object.entries(licences)) await write(file, body);
};
