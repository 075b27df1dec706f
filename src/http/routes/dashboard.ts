/** The page: files that the build made (dist/dashboard), read together with the first request and kept. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { etagOf } from '../../cache/etag.js';
import { AppError } from '../../errors.js';
import { acceptsBrotli, prefersGzip } from '../answers/accept.js';
import { addVary, type HeaderPair } from '../answers/common-headers.js';
import { isNotModified } from '../answers/json-answer.js';
import { VARY_ENCODING } from '../answers/representations.js';

export interface DashboardRouteOptions {
  /** Path of the folder that the build wrote. */
  readonly folder: string;
  /** DASHBOARD_WATCH. */
  readonly watch: string;
  /** Of the Content-Security-Policy: who may show the page in a frame. */
  readonly frameAncestors: string;
}

const PAGE = 'index.html';
const YEAR_S = 31_536_000;

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};

/** What the page's own files need, and no more: no other host, no inline script or style, no string that becomes script. */
const pageHeaders = (frameAncestors: string): readonly HeaderPair[] => [
  [
    'content-security-policy',
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
      `base-uri 'none'; form-action 'none'; frame-ancestors ${frameAncestors}; ` +
      "require-trusted-types-for 'script'; trusted-types 'none'",
  ],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-opener-policy', 'same-origin'],
  // It knows none and one alone: where others may frame the page, the policy says who.
  ...(frameAncestors === "'none'" ? [['x-frame-options', 'DENY'] as const] : []),
];

interface Form {
  readonly body: Buffer;
  readonly etag: string;
}

/** One file, as it is and compressed; null: there is no such copy. */
interface Loaded {
  readonly type: string;
  readonly plain: Form;
  readonly gzip: Form | null;
  readonly br: Form | null;
}

const formOf = (body: Buffer): Form => ({ body, etag: etagOf(body) });

const readCopy = (path: string): Promise<Form | null> => readFile(path).then(formOf, () => null);

const escapeAttribute = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const typeOf = (name: string): string => TYPES[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream';

const files = z.object({ files: z.array(z.string()) });

/** What the build's list names, by name. Rejects with `not_found` where the build has not run, or runs now. */
const readAll = async ({ folder, watch }: DashboardRouteOptions): Promise<ReadonlyMap<string, Loaded>> => {
  try {
    const { files: names } = files.parse(JSON.parse(await readFile(join(folder, 'files.json'), 'utf8')));
    const loaded = await Promise.all(
      names.map(async (name): Promise<readonly [string, Loaded]> => {
        const path = join(folder, name);
        const body = await readFile(path);
        // Short enough to be sent as it is, and it differs by the settings.
        if (name === PAGE) {
          const text = body
            .toString()
            .replace('content="" data-watch', `content="${escapeAttribute(watch)}"`);
          return [name, { type: typeOf(name), plain: formOf(Buffer.from(text)), gzip: null, br: null }];
        }
        const [gzip, br] = await Promise.all([readCopy(`${path}.gz`), readCopy(`${path}.br`)]);
        return [name, { type: typeOf(name), plain: formOf(body), gzip, br }];
      }),
    );
    return new Map(loaded);
  } catch (cause) {
    throw new AppError('not_found', 'The page is made by `npm run build`, which has not run here.', {
      cause,
    });
  }
};

export const dashboardRoutes: FastifyPluginCallback<DashboardRouteOptions> = (app, options, done) => {
  const headers = pageHeaders(options.frameAncestors);
  let loading: Promise<ReadonlyMap<string, Loaded>> | null = null;
  const find = async (name: string): Promise<Loaded> => {
    loading ??= readAll(options).catch((error: unknown) => {
      loading = null;
      throw error;
    });
    const found = (await loading).get(name);
    if (found === undefined) throw new AppError('not_found', 'The page has no such file.');
    return found;
  };
  const send = async (request: FastifyRequest, reply: FastifyReply, name: string): Promise<FastifyReply> => {
    const { type, plain, gzip, br } = await find(name);
    const accepted = request.headers['accept-encoding'];
    const coding =
      br !== null && acceptsBrotli(accepted) ? 'br' : gzip !== null && prefersGzip(accepted) ? 'gzip' : null;
    const { body, etag } = (coding === 'br' ? br : coding === 'gzip' ? gzip : null) ?? plain;
    addVary(reply, VARY_ENCODING);
    reply
      .header('cache-control', name === PAGE ? 'no-cache' : `public, max-age=${YEAR_S}, immutable`)
      .header('etag', etag);
    if (isNotModified(request.headers['if-none-match'], etag)) return reply.code(304).send();
    if (coding !== null) reply.header('content-encoding', coding);
    return reply.header('content-type', type).send(body);
  };
  app.get('/dashboard/', { schema: { hide: true } }, (request, reply) => {
    for (const [name, value] of headers) reply.header(name, value);
    return send(request, reply, PAGE);
  });
  // Relative, since a proxy may have cut a prefix.
  app.get('/dashboard', { schema: { hide: true } }, (_request, reply) => reply.redirect('dashboard/', 308));
  app.get<{ Params: { file: string } }>(
    '/dashboard/assets/:file',
    { schema: { hide: true } },
    (request, reply) => send(request, reply, `assets/${request.params.file}`),
  );
  done();
};
