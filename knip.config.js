// What is used from where no import says so; `npm run unused` reports everything else that nothing uses.
/** @type {import('knip').KnipConfig} */
export default {
  entry: [
    // Threads, started by the URL of their file.
    'src/exchanges/worker/worker-entry.ts',
    'src/ledger/sqlite/worker-entry.ts',
    'src/sandbox/main.ts',
    // Published as mcp-crypto-data-server/client.
    'web/client/client.ts',
    // Named by the page's index.html.
    'web/dashboard/main.tsx',
    // The ledger's stores, which the app will import when they are wanted.
    'src/ledger/{postgres,sqlite}/*-store.ts',
    'scripts/*.{ts,js}',
    'bench/{floors,workloads}/*.js',
    'test/**/*.test.ts',
    // Processes and probes of the end-to-end and slow tests.
    'test/{e2e,slow}/*.js',
  ],
  project: [
    'src/**/*.ts',
    'web/**/*.{ts,tsx}',
    'test/**/*.{ts,js}',
    'bench/**/*.{ts,js}',
    'scripts/**/*.{ts,js}',
  ],
  ignoreDependencies: [
    // Their files are served or run, found by path.
    '@fastify/swagger-ui',
    'redoc',
    'graphiql',
    '@redocly/cli',
  ],
  // Programs of the machine: the benchmarks say which package brings them.
  ignoreBinaries: ['cc', 'taskset', 'redis-server'],
};
