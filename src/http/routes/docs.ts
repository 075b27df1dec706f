/** The documentation: files that the build made, with validators, compressed for those who take that. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { etagOf } from '../../cache/etag.js';
import { AppError } from '../../errors.js';
import type { AuthMode } from '../../schemas/access.js';
import { prefersGzip } from '../answers/accept.js';
import { addVary } from '../answers/common-headers.js';
import { isNotModified } from '../answers/json-answer.js';
import { DOCUMENTS, fileOf, HTML_TYPE, type DocumentFile } from '../openapi/documents.js';
import { PAGE_HEADERS } from '../openapi/page-headers.js';
import { VARY_ENCODING } from '../answers/representations.js';

/** Files change with a new version only; their validators are checked after this many seconds. */
const MAX_AGE_S = 3600;

export interface DocsRouteOptions {
  /** Path of the folder that the build wrote. */
  readonly folder: string;
  /** The API is described as servers of this mode have it. */
  readonly mode: AuthMode;
  /** Addresses that this server does not have. */
  readonly without: (url: string) => boolean;
}

interface Loaded {
  readonly body: Buffer;
  readonly etag: string;
}

const read = async (path: string): Promise<Loaded> => {
  const body = await readFile(path).catch((cause: unknown) => {
    throw new AppError('not_found', 'The documentation is made by `npm run build`, which has not run here.', {
      cause,
    });
  });
  return { body, etag: etagOf(body) };
};

/**
 * Read when first asked for, then kept: a few files of at most a megabyte. Requests that come together share one read,
 * and so one copy in memory. A failed read is tried again.
 */
const createLoader = (folder: string): ((file: string) => Promise<Loaded>) => {
  const kept = new Map<string, Promise<Loaded>>();
  return (file) => {
    const known = kept.get(file);
    if (known !== undefined) return known;
    const loading = read(join(folder, file));
    kept.set(file, loading);
    loading.catch(() => kept.delete(file));
    return loading;
  };
};

export const docsRoutes: FastifyPluginCallback<DocsRouteOptions> = (app, { folder, mode, without }, done) => {
  const load = createLoader(folder);
  for (const [url, document] of Object.entries<DocumentFile>(DOCUMENTS)) {
    const { type } = document;
    const file = fileOf(document, mode);
    if (without(url)) continue;
    app.get(url, { schema: { hide: true } }, async (request: FastifyRequest, reply: FastifyReply) => {
      const compressed = prefersGzip(request.headers['accept-encoding']);
      const { body, etag } = await load(compressed ? `${file}.gz` : file);
      addVary(reply, VARY_ENCODING);
      reply.header('cache-control', `public, max-age=${MAX_AGE_S}`).header('etag', etag);
      if (isNotModified(request.headers['if-none-match'], etag)) return reply.code(304).send();
      if (type === HTML_TYPE) for (const [name, value] of PAGE_HEADERS) reply.header(name, value);
      if (compressed) reply.header('content-encoding', 'gzip');
      return reply.header('content-type', type).send(body);
    });
    // As people type it, and as other documentation servers have it. Relative, since a proxy may have cut a prefix.
    if (type === HTML_TYPE)
      app.get(`${url}/`, { schema: { hide: true } }, (_request, reply) =>
        reply.redirect(`../${url.split('/').at(-1) ?? ''}`, 308),
      );
  }
  done();
};
