/** `/`: browsers are sent to the page, programs get what this server is and where its addresses are. */
import type { FastifyPluginCallback } from 'fastify';
import { etagOf } from '../../cache/etag.js';
import { qualityOf } from '../answers/accept.js';
import { addVary } from '../answers/common-headers.js';
import { sendJson } from '../answers/json-answer.js';
import { VARY_ACCEPT } from '../answers/representations.js';

/** The addresses change with a new version only. */
const MAX_AGE_S = 3600;

const LINKS = {
  health: '/v1/health',
  ready: '/v1/health/ready',
  status: '/v1/status',
  exchanges: '/v1/exchanges',
  markets: '/v1/markets',
  ticker: '/v1/markets/ticker',
  tickers: '/v1/markets/tickers',
  ohlcv: '/v1/markets/ohlcv',
  orderbook: '/v1/markets/orderbook',
  trades: '/v1/markets/trades',
  ticker_stream: '/v1/stream/ticker',
  websocket_ticker: '/ws/ticker',
  websocket: '/ws',
  mcp: '/mcp',
  metrics: '/metrics',
  docs: '/docs',
  redoc: '/redoc',
  errors: '/docs/errors',
  openapi: '/openapi.json',
  asyncapi: '/asyncapi.json',
} as const;

/** A browser names text/html when it opens an address; `*\/*` and no Accept at all come from programs. */
const wantsPage = (accept: string | undefined): boolean => {
  if (accept === undefined) return false;
  const html = qualityOf(accept, 'text/html');
  return html.specificity === 2 && html.q > 0 && html.q >= qualityOf(accept, 'application/json').q;
};

export interface StartRoutesOptions {
  readonly version: string;
  /** Whether there is a page to send browsers to. */
  readonly dashboard: boolean;
}

export const startRoutes: FastifyPluginCallback<StartRoutesOptions> = (app, { version, dashboard }, done) => {
  const links = dashboard ? { dashboard: '/dashboard/', ...LINKS } : LINKS;
  const body = Buffer.from(JSON.stringify({ name: 'mcp-crypto-data-server', version, links }));
  const index = { body, etag: etagOf(body) };
  app.get('/', { schema: { hide: true } }, (request, reply) => {
    if (dashboard) addVary(reply, VARY_ACCEPT);
    // Relative: right below any path prefix of a proxy.
    if (dashboard && wantsPage(request.headers.accept)) return reply.redirect('dashboard/', 302);
    return sendJson(request, reply.header('cache-control', `public, max-age=${MAX_AGE_S}`), index);
  });
  done();
};
