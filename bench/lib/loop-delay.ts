/** Event-loop delay of a product's main thread, measured within it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pause } from './processes.js';
import type { Running } from './product.js';

const probe = fileURLToPath(new URL('loop-probe.js', import.meta.url));

/** Milliseconds. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly count: number;
}

/** Variables with which the product measures its loop and reports to `file`. */
export const withProbe = (file: string): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import ${probe}`,
  BENCH_PROBE: file,
});

/** Since the last reading. */
export const readProbe = async (product: Running, file: string): Promise<LoopDelay> => {
  product.process.kill('SIGUSR2');
  await pause(200);
  return JSON.parse(readFileSync(file, 'utf8')) as LoopDelay;
};
