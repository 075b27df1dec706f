import { defineConfig } from 'vitest/config';

// Three projects by what they touch: unit (no I/O), api (the app in this process), e2e (the built server as a process).
export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        // Long for tests without I/O: reading all sources or loading CCXT's modules takes a while on a busy machine.
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000 },
      },
      {
        extends: true,
        test: { name: 'api', include: ['test/api/**/*.test.ts'], testTimeout: 30_000, hookTimeout: 30_000 },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      // Minutes of real time: `npm run test:slow` alone runs them.
      ...(process.env['SLOW_TESTS'] === '1'
        ? [
            {
              extends: true as const,
              test: {
                name: 'slow',
                include: ['test/slow/**/*.test.ts'],
                testTimeout: 1_800_000,
                hookTimeout: 120_000,
                fileParallelism: false,
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
