// Lint: TypeScript's strict rules with types, and the import directions of the house (DESIGN: imports run one way).
// test/unit/architecture.test.ts checks the same directions from the files themselves, so that neither can rot alone.
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Forbids `groups` of import patterns for `files`, with the sentence a reader needs. */
const forbid = (files, regex, message) => ({
  files,
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: [{ regex, message }] }] },
});

export default tseslint.config(
  {
    ignores: [
      'dist',
      'coverage',
      'artifacts',
      'node_modules',
      'bench/results',
      'test/support/openapi-types.ts',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/only-throw-error': 'error',
      'max-params': ['error', 3],
      'no-console': 'error',
      eqeqeq: ['error', 'always'],
    },
  },
  {
    files: ['**/*.js'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        setInterval: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        URL: 'readonly',
      },
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/server.ts', 'src/config/config.ts', 'src/sandbox/main.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Settings enter through config/ only.' },
      ],
    },
  },
  forbid(
    ['src/{access,cache,coinmarketcap,exchanges,ledger,log,market-data,mcp,metrics,streams}/**/*.ts'],
    '^fastify$|^@fastify/|/sandbox/|/(app/app|server)\\.js$',
    'Only http/ and app/ know Fastify.',
  ),
  forbid(
    ['src/http/**/*.ts'],
    '^(ccxt|ioredis)$|/sandbox/|/(app/app|server)\\.js$',
    'http/ calls services and imports no driver.',
  ),
  forbid(['src/schemas/**/*.ts'], '^(?!zod$|\\./)', 'Schemas import zod and each other only.'),
  forbid(['src/lib/**/*.ts'], '^\\.\\./', 'lib knows nothing else of src.'),
  forbid(
    ['src/sandbox/**/*.ts'],
    '/(lib|schemas|http|streams|exchanges|market-data|cache|config|app)/|/(server|errors)\\.js$',
    'The sandbox is a product of its own: it imports nothing of the server.',
  ),
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
    },
  },
  {
    files: ['bench/**/*.ts', 'scripts/**/*', 'test/**/*.ts', 'src/sandbox/main.ts'],
    rules: { 'no-console': 'off' },
  },
);
