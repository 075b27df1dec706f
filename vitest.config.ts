import { defineConfig } from 'vitest/config';
import { EXTENSIBLE } from './test/support/extensible-files.js';
import { ProjectOrder } from './test/support/project-order.js';

/** Long for tests without I/O: reading all sources or loading CCXT's modules takes a while on a busy machine. */
const UNIT_MS = 60_000;
const E2E_MS = 240_000;
const SLOW_MS = 1_800_000;
/** Deadline of `expect.poll` where a test names none: many times what a busy machine was seen to take. */
const POLL_MS = 30_000;

/**
 * Files at once, whatever the number of cores: most files wait, so that three leave 40 % of two fast cores idle; on two slow
 * ones six starve each other, so that leases of servers lapse and browsers give up. project-order.ts mixes what waits and what computes.
 */
const AT_ONCE = 5;
/** MB for young objects: with V8's 16, their collection takes a tenth of the CPU time of these tests. */
const YOUNG_SPACE = ['--max-semi-space-size=64'];
/** Unit and API files share processes, so that CCXT and the app are imported once a process and not once a file. */
const SHARED_PROCESS = {
  isolate: false,
  setupFiles: ['test/support/shared-process.ts'],
  execArgv: YOUNG_SPACE,
};
/** CCXT takes Date.now when it is loaded, and this test replaces it before. */
const OWN_PROCESS = ['test/unit/exchanges/ccxt/feeds/connections.test.ts'];

/**
 * They measure times or memory of the machine that they run on, by medians and by bounds that two more files beside them
 * do not reach, or read what the others build: three at once, after all others.
 */
const APART = [
  ...['e2e/stalled-readers', 'e2e/workers', 'api/cluster/shared-budget-timing', 'e2e/redis-trouble'],
  ...['e2e/shared-budget', 'e2e/abuse', 'e2e/package', 'e2e/hostile', 'e2e/hostile-budget'],
  'e2e/killed-owners',
].map((path) => `test/${path}.test.ts`);

// Projects by what they share: in-process (unit: no I/O; api: the app in this process), e2e (the built server as a process).
export default defineConfig({
  test: {
    // No test writes into the user's folders: a server that a test starts keeps no candles unless the test says where.
    env: { STORE_URL: 'none' },
    expect: { poll: { timeout: POLL_MS } },
    maxWorkers: AT_ONCE,
    sequence: { sequencer: ProjectOrder },
    // A module is transformed once, not once a project and run: a fifth of the CPU time of what a run imports. Keyed by the
    // module's text; `npx vitest --clearCache` empties it.
    experimental: { fsModuleCache: true },
    projects: [
      {
        extends: true,
        test: {
          ...SHARED_PROCESS,
          name: 'in-process',
          include: ['test/unit/**/*.test.ts', 'test/api/**/*.test.ts'],
          exclude: [...OWN_PROCESS, ...APART],
          testTimeout: UNIT_MS,
          hookTimeout: UNIT_MS,
        },
      },
      { extends: true, test: { name: 'own-process', include: OWN_PROCESS, testTimeout: UNIT_MS } },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: APART,
          testTimeout: E2E_MS,
          hookTimeout: E2E_MS,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e-apart',
          include: APART,
          testTimeout: E2E_MS,
          hookTimeout: E2E_MS,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      // Minutes of real time: `npm run test:slow` alone runs them.
      ...(process.env['SLOW_TESTS'] === '1'
        ? [
            {
              extends: true as const,
              test: {
                name: 'slow',
                // The soak's venues and all its clients are one process of the test.
                execArgv: [...YOUNG_SPACE, '--v8-pool-size=1'],
                include: ['test/slow/**/*.test.ts', ...EXTENSIBLE],
                testTimeout: SLOW_MS,
                hookTimeout: E2E_MS,
                fileParallelism: false,
                sequence: { groupOrder: 2 },
              },
            },
          ]
        : []),
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'web/**/*.{ts,tsx}'],
      reporter: ['text-summary', 'json-summary', 'html'],
      thresholds: { lines: 90, branches: 90 },
    },
  },
});
