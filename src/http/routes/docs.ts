/** The documentation: the OpenAPI document, two ways to read it, and what each error means. */
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { isNotModified } from '../json-answer.js';
import { JSON_CONTENT_TYPE } from '../representations.js';
import { redocAsset, swaggerAsset } from '../openapi/assets.js';
import { errorsPage, PAGE_CSP, redocPage, redocStart, swaggerPage, swaggerStart } from '../openapi/pages.js';
import { etagOf } from '../../cache/etag.js';

const HTML = 'text/html; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
/** Files change with a new version only; their validators are checked after this many seconds. */
const MAX_AGE_S = 3600;

interface File {
  readonly type: string;
  readonly load: () => Promise<Buffer> | Buffer;
}

const text = (type: string, content: () => string): File => ({ type, load: () => Buffer.from(content()) });

export const docsRoutes: FastifyPluginCallback = (app, _options, done) => {
  const files: Readonly<Record<string, File>> = {
    '/openapi.json': { type: JSON_CONTENT_TYPE, load: async () => Buffer.from(await app.openApi()) },
    '/docs': text(HTML, () => swaggerPage),
    '/docs/start.js': text(SCRIPT, () => swaggerStart),
    '/docs/swagger-ui-bundle.js': { type: SCRIPT, load: () => swaggerAsset('swagger-ui-bundle.js') },
    '/docs/swagger-ui.css': { type: STYLE, load: () => swaggerAsset('swagger-ui.css') },
    '/docs/errors': text(HTML, errorsPage),
    '/redoc': text(HTML, () => redocPage),
    '/redoc/start.js': text(SCRIPT, () => redocStart),
    '/redoc/redoc.standalone.js': { type: SCRIPT, load: redocAsset },
  };
  for (const [url, { type, load }] of Object.entries(files)) {
    // Read when first asked for, then kept: a few files of a few megabytes at most.
    let kept: { readonly body: Buffer; readonly etag: string } | undefined;
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      if (kept === undefined) {
        const body = await load();
        kept = { body, etag: etagOf(body) };
      }
      const { body, etag } = kept;
      reply.header('cache-control', `public, max-age=${MAX_AGE_S}`).header('etag', etag);
      if (isNotModified(request.headers['if-none-match'], etag)) return reply.code(304).send();
      if (type === HTML) reply.header('content-security-policy', PAGE_CSP);
      return reply.header('content-type', type).send(body);
    };
    app.get(url, { schema: { hide: true } }, handler);
    if (type !== HTML) continue;
    // As people type it, and as other documentation servers have it.
    app.get(`${url}/`, { schema: { hide: true } }, (_request, reply) => reply.redirect(url, 308));
  }
  done();
};
