/** `/`: what this server is and where its addresses are, for people who open the address. */
import type { FastifyPluginCallback } from 'fastify';
import { etagOf } from '../../cache/etag.js';
import { sendJson } from '../answers/json-answer.js';

/** The addresses change with a new version only. */
const MAX_AGE_S = 3600;

const LINKS = {
  health: '/v1/health',
  ready: '/v1/health/ready',
  exchanges: '/v1/exchanges',
  markets: '/v1/markets',
  ticker: '/v1/markets/ticker',
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

export const startRoutes: FastifyPluginCallback<{ readonly version: string }> = (app, { version }, done) => {
  const body = Buffer.from(JSON.stringify({ name: 'mcp-crypto-data-server', version, links: LINKS }));
  const index = { body, etag: etagOf(body) };
  // A browser that asks for a page gets the index as well: there is nothing else here to show.
  app.get('/', { schema: { hide: true } }, (request, reply) =>
    sendJson(request, reply.header('cache-control', `public, max-age=${MAX_AGE_S}`), index),
  );
  done();
};
