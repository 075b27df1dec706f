/** `npm run openapi:check`: lints the OpenAPI document by redocly.yaml, where every warning is a fault. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'openapi-'));
const file = join(folder, 'openapi.json');
const bin = (name: string): string => join('node_modules', '.bin', name);
try {
  const document = execFileSync(bin('tsx'), ['scripts/print-openapi.ts'], { maxBuffer: 64 * 1024 * 1024 });
  writeFileSync(file, document);
  const { status } = spawnSync(bin('redocly'), ['lint', '--config', 'redocly.yaml', file], {
    stdio: 'inherit',
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
