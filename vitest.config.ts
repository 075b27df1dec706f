import { defineConfig } from 'vitest/config';

/** Long for tests without I/O: reading all sources or loading CCXT's modules takes a while on a busy machine. */
const UNIT_MS = 30_000;
const E2E_MS = 120_000;
const SLOW_MS = 1_800_000;

/** They measure times or memory of the machine that they run on, or write what others read: one after the other. */
const ALONE = ['abuse', 'cache', 'hostile', 'hostile-budget', 'package', 'streams', 'workers'].map(
  (name) => `test/e2e/${name}.test.ts`,
);
/** They do more in `npm run test:slow` (test/support/extent.ts). */
const EXTENSIBLE = [
  ...['abuse', 'cache', 'hostile', 'outage', 'package', 'soak', 'streams'].map(
    (name) => `test/e2e/${name}.test.ts`,
  ),
  'test/api/http/hostile-queries.test.ts',
  'test/unit/exchanges/{resilience,worker}/soak.test.ts',
];

// Projects by what they touch: unit (no I/O), api (the app in this process), e2e (the built server as a process).
export default defineConfig({
  test: {
    // No test writes into the user's folders: a server that a test starts keeps no candles unless the test says where.
    env: { STORE_URL: 'none' },
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: UNIT_MS } },
      {
        extends: true,
        test: { name: 'api', include: ['test/api/**/*.test.ts'], testTimeout: UNIT_MS, hookTimeout: UNIT_MS },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ALONE,
          testTimeout: E2E_MS,
          hookTimeout: E2E_MS,
          // They wait more than they work.
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e-alone',
          include: ALONE,
          testTimeout: E2E_MS,
          hookTimeout: E2E_MS,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      // Minutes of real time: `npm run test:slow` alone runs them.
      ...(process.env['SLOW_TESTS'] === '1'
        ? [
            {
              extends: true as const,
              test: {
                name: 'slow',
                include: ['test/slow/**/*.test.ts', ...EXTENSIBLE],
                testTimeout: SLOW_MS,
                hookTimeout: E2E_MS,
                fileParallelism: false,
                sequence: { groupOrder: 3 },
              },
            },
          ]
        : []),
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'json-summary', 'html'],
      thresholds: { lines: 90, branches: 90 },
    },
  },
});
