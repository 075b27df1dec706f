/**
 * `npm run openapi:check`: lints the OpenAPI documents, one for each AUTH_MODE, by redocly.yaml, where every warning is a
 * fault.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AUTH_MODES } from '../src/schemas/access.js';

const folder = mkdtempSync(join(tmpdir(), 'openapi-'));
const bin = (name: string): string => join('node_modules', '.bin', name);
try {
  const files = AUTH_MODES.map((mode) => {
    const file = join(folder, `openapi.${mode}.json`);
    const printed = ['scripts/print-openapi.ts', mode];
    writeFileSync(file, execFileSync(bin('tsx'), printed, { maxBuffer: 64 * 1024 * 1024 }));
    return file;
  });
  const { status } = spawnSync(bin('redocly'), ['lint', '--config', 'redocly.yaml', ...files], {
    stdio: 'inherit',
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
