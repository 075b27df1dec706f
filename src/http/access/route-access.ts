/** The scope that each route requires where access is on: one table, by method and the route's pattern. */
import type { Scope } from '../../access/principal.js';

/** open: nothing; null: a credential; a scope: a credential that has it. */
export type RouteAccess = 'open' | Scope | null;

const OPEN: ReadonlySet<string> = new Set([
  ...['/', '/v1/health', '/v1/health/ready', '/openapi.json', '/asyncapi.json', '/schema.graphql'],
  ...['/widgets.json', '/apps.json', '/favicon.ico', '/metrics'],
]);
const OPEN_BELOW = ['/docs', '/redoc', '/.well-known', '/dashboard', '/graphiql'];

const HISTORY: ReadonlySet<string> = new Set([
  '/v1/markets/ohlcv/coverage',
  '/v1/markets/ohlcv/revisions',
  '/v1/markets/ohlcv/export',
]);

const BY_PREFIX: readonly (readonly [string, Scope])[] = [
  ['/v1/markets', 'market:read'],
  ['/v1/exchanges', 'market:read'],
  ['/v1/status', 'market:read'],
  ['/udf', 'market:read'],
  ['/mcp', 'market:read'],
  ['/v1/stream', 'stream:read'],
  ['/ws', 'stream:read'],
  ['/v1/tickets', 'stream:read'],
  ['/v1/admin', 'admin'],
];

const isBelow = (pattern: string, prefix: string): boolean =>
  pattern === prefix || pattern.startsWith(`${prefix}/`);

/** `metricsAuth`: METRICS_AUTH. */
export const routeAccess = (
  { method, pattern }: { readonly method: string; readonly pattern: string },
  { metricsAuth }: { readonly metricsAuth: boolean },
): RouteAccess => {
  if (pattern === '/metrics' && metricsAuth) return 'metrics:read';
  if (OPEN.has(pattern) || OPEN_BELOW.some((prefix) => isBelow(pattern, prefix))) return 'open';
  if (HISTORY.has(pattern)) return 'history:read';
  if (isBelow(pattern, '/v1/backfills'))
    return method === 'GET' || method === 'HEAD' ? 'history:read' : 'backfill:write';
  return BY_PREFIX.find(([prefix]) => isBelow(pattern, prefix))?.[1] ?? null;
};
