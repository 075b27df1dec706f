/** A wall clock of a process's own, moved while it runs by libfaketime (Debian's package faketime); monotonic clocks go on. */
import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const LIBRARIES = '/usr/lib';

/** The folder of this machine's libraries that has libfaketime in it. */
const libraries = (): string => {
  const found = readdirSync(LIBRARIES)
    .map((folder) => join(LIBRARIES, folder))
    .find((folder) => existsSync(join(folder, 'faketime/libfaketimeMT.so.1')));
  if (found === undefined)
    throw new Error('This test needs libfaketime: install it (Debian: apt-get install faketime).');
  return found;
};

export interface FakeClock {
  /** Seconds ahead of the true time, from a second later on; negative: behind. */
  set(seconds: number): void;
  /** For a process of Node.js. */
  readonly env: Record<string, string>;
  /**
   * For redis-server: its allocator asks for the time before libfaketime is ready, which then asks it for memory. With libc's
   * allocator in front it starts.
   */
  readonly redisEnv: Record<string, string>;
}

/** Ends with the test that makes it. */
export const fakeClock = (): FakeClock => {
  const folder = mkdtempSync(join(tmpdir(), 'clock-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'offset');
  const set = (seconds: number): void =>
    writeFileSync(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
  set(0);
  const system = libraries();
  const lib = join(system, 'faketime/libfaketimeMT.so.1');
  const env = {
    ...{ LD_PRELOAD: lib, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1' },
    ...{ FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' },
  };
  return { set, env, redisEnv: { ...env, LD_PRELOAD: `${lib} ${join(system, 'libc.so.6')}` } };
};
