// Which module may import what (docs/architecture.md#imports-run-one-way), for values and types, in every form of import.
// `npm run imports` checks it; test/unit/import-rules.test.ts proves that each rule finds what it forbids.

/** What everybody may import. */
const WORDS = ['schemas', 'lib', 'errors.ts', 'invalid-input.ts', 'log'];

/** Modules that each module may import from, besides itself. */
const ALLOWED = {
  'cli.ts': ['cli', ...WORDS],
  cli: ['app', 'config', 'access', 'exchanges', 'ledger', 'mcp', 'processes', ...WORDS],
  app: [
    'access',
    'cache',
    'cluster',
    'coinmarketcap',
    'config',
    'exchanges',
    'graphql',
    'http',
    'ledger',
    'market-data',
    'mcp',
    'metrics',
    'processes',
    'sandbox',
    'streams',
    ...WORDS,
  ],
  http: [
    'access',
    'cache',
    'cluster',
    'coinmarketcap',
    'config',
    'exchanges',
    'graphql',
    'ledger',
    'market-data',
    'mcp',
    'metrics',
    'streams',
    ...WORDS,
  ],
  graphql: ['access', 'exchanges', 'ledger', 'market-data', 'streams', ...WORDS],
  'market-data': ['cache', 'coinmarketcap', 'exchanges', 'ledger', ...WORDS],
  streams: ['exchanges', 'market-data', ...WORDS],
  mcp: ['exchanges', 'ledger', 'market-data', ...WORDS],
  metrics: ['cache', 'cluster', 'coinmarketcap', 'exchanges', 'ledger', 'market-data', 'streams', ...WORDS],
  ledger: ['exchanges', ...WORDS],
  // The ledger's drivers of SQLite and its migrations serve the store of keys too.
  access: ['cache', 'ledger', ...WORDS],
  cluster: ['cache', 'exchanges', 'streams', ...WORDS],
  processes: ['cluster', 'coinmarketcap', 'exchanges', 'ledger', 'market-data', 'streams', ...WORDS],
  exchanges: ['config', ...WORDS],
  cache: WORDS,
  coinmarketcap: ['cache', ...WORDS],
  log: ['config', 'schemas'],
  config: ['lib', 'schemas'],
  'errors.ts': [],
  'invalid-input.ts': ['errors.ts'],
  schemas: [],
  lib: [],
  sandbox: [],
};

/** Packages with a home of their own, and where it is. */
const HOMES = {
  ccxt: 'exchanges/ccxt/',
  ioredis: '(cache|cluster)/',
  pg: '(ledger/postgres|access/store)/',
  '@photostructure/sqlite': 'ledger/sqlite/',
  'hyparquet-writer': 'ledger/export/',
  'prom-client': 'metrics/',
  'graphql-ws': 'graphql/',
  'fastify|fastify-plugin|@fastify': '(http|app)/',
};

/** Composes a thread as app/ composes the process. */
const WORKER_ENTRY = '^src/exchanges/worker/worker-entry\\.ts$';

const literal = (text) => text.replaceAll('.', '\\.');
const pathOf = (module) => `^src/${literal(module)}${module.endsWith('.ts') ? '$' : '/'}`;
const anyOf = (modules) => modules.map(pathOf).join('|');
/** Files of a package, installed or not. */
const packagePath = (names) => `(^|/)node_modules/(${names})/|^(${names})(/|$)`;

const directions = Object.entries(ALLOWED).map(([module, others]) => ({
  name: `module-${module}`,
  comment: `${module} imports, of this source, ${others.length === 0 ? 'nothing else' : others.join(', ')}.`,
  severity: 'error',
  from: { path: pathOf(module), pathNot: WORKER_ENTRY },
  to: { path: '^src/', pathNot: anyOf([module, ...others]) },
}));

const homes = Object.entries(HOMES).map(([names, home]) => ({
  name: `package-${names}`,
  comment: `Only src/${home} imports ${names}.`,
  severity: 'error',
  from: { path: '^src/', pathNot: `^src/${home}` },
  to: { path: packagePath(names) },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-circle',
      comment: 'Nothing imports itself by way of others, not even as a type.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'known-module',
      comment: 'Every file belongs to a module of the layout.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: anyOf(Object.keys(ALLOWED)) },
    },
    {
      name: 'resolvable',
      comment: 'What is imported is there, and package.json names it.',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-dev-dependency',
      comment: 'The built server runs without development dependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    ...directions,
    {
      name: 'worker-entry',
      comment: 'What composes a worker thread takes of other modules only the cluster.',
      severity: 'error',
      from: { path: WORKER_ENTRY },
      to: { path: '^src/', pathNot: anyOf(['exchanges', 'cluster', ...ALLOWED.exchanges]) },
    },
    ...homes,
    {
      name: 'settings-as-types',
      comment: 'Modules take of the settings only their types: values are handed to them.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(app|cli|config)/' },
      to: { path: '^src/config/config\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'routes-apart',
      comment: 'Routes do not import each other.',
      severity: 'error',
      from: { path: '^src/http/routes/' },
      to: { path: '^src/http/routes/' },
    },
    {
      name: 'sandbox-by-drivers',
      comment: 'Of the server, only app/drivers.ts imports the sandbox, and only when it is wanted.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(sandbox/|app/drivers\\.ts$)' },
      to: { path: '^src/sandbox/' },
    },
    {
      name: 'sandbox-when-wanted',
      comment: 'The sandbox is loaded by a dynamic import, so that a start without it does not pay for it.',
      severity: 'error',
      from: { path: '^src/app/drivers\\.ts$' },
      to: { path: '^src/sandbox/', dependencyTypesNot: ['dynamic-import', 'type-only'] },
    },
    {
      name: 'graphql-when-wanted',
      comment: 'GraphQL is loaded by the first call: nobody else pays for it.',
      severity: 'error',
      from: { path: '^src/(app|http|metrics)/', pathNot: '^src/http/graphql/event-stream\\.ts$' },
      to: {
        path: `^src/graphql/|^src/http/graphql/event-stream\\.ts$|${packagePath('graphql|graphql-ws')}`,
        dependencyTypesNot: ['dynamic-import', 'type-only'],
      },
    },
    {
      name: 'schemas-zod',
      comment: 'Of packages, schemas import zod alone.',
      severity: 'error',
      from: { path: '^src/schemas/' },
      to: { pathNot: `^src/|${packagePath('zod')}` },
    },
    {
      name: 'lib-node',
      comment: 'lib and errors.ts import no package, errors.ts not even one of Node.js.',
      severity: 'error',
      from: { path: '^src/lib/' },
      to: { pathNot: '^src/', dependencyTypesNot: ['core'] },
    },
    {
      name: 'errors-alone',
      comment: 'errors.ts imports no package.',
      severity: 'error',
      from: { path: '^src/errors\\.ts$' },
      to: { pathNot: '^src/' },
    },
    {
      name: 'normalizer-pure',
      comment: 'The normalizer does no I/O: it takes what it needs.',
      severity: 'error',
      from: { path: '^src/.*normaliz' },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
};
