/** Tests that do more in `npm run test:slow` (extent.ts), by their paths in the repository. */
const folder = (path: string, names: readonly string[]): string[] =>
  names.map((name) => `test/${path}/${name}.test.ts`);

export const EXTENSIBLE: readonly string[] = [
  ...folder('e2e', [
    'abuse',
    'backfill-kills',
    'backfill-venues',
    'dashboard',
    'redis-trouble',
    'hostile',
    'outage',
    'package',
    'stalled-readers',
    'streams',
  ]),
  ...folder('api/access', ['tickets']),
  // On PostgreSQL.
  ...folder('api/ledger', [
    'age',
    'analysis',
    'backfill-changes',
    'backfill-faults',
    'backfill-jobs',
    'backfill-pages',
    'backfill-restart',
    'export',
    'mcp-coverage',
    'venue-faults',
  ]),
  ...folder('api/graphql', ['attacks']),
  ...folder('api/http', ['hostile-queries']),
  ...folder('unit/exchanges/resilience', ['soak']),
  ...folder('unit/exchanges/worker', ['soak']),
];
