/** The Python of this machine, for tests of what the documentation shows. */
import { execFileSync } from 'node:child_process';

const PYTHONS = ['python3', '/usr/bin/python3'];

/** Whether it is installed: importing pandas or DuckDB takes a second. */
export const hasPackage = (python: string, name: string): boolean => {
  const look = `import sys, importlib.util; sys.exit(importlib.util.find_spec("${name}") is None)`;
  try {
    execFileSync(python, ['-c', look], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** The one that has pandas; undefined where none has. */
export const findPandas = (): string | undefined => PYTHONS.find((python) => hasPackage(python, 'pandas'));
