/**
 * The official conformance runner as a child process. It imports `fs.globSync`, which Node 20 lacks and its server
 * scenarios don't call; a loader hook stands in for it.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { tmpdir } from 'node:os';
import path from 'node:path';

const FS = `export * from 'node:fs'; export { default } from 'node:fs';
export const globSync = () => { throw new Error('not in this Node'); };`;
const dataUrl = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;
const HOOKS = `export const resolve = (specifier, context, next) =>
  specifier === 'fs' ? { url: ${JSON.stringify(dataUrl(FS))}, shortCircuit: true } : next(specifier, context);`;
const PRELOAD = dataUrl(
  `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(HOOKS))});`,
);

const runner = fileURLToPath(
  new URL('../../../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
);

/** What the runner printed, and whether all checks of the scenario passed. Without a scenario: the list of all. */
export const runConformance = async (
  args: readonly string[],
): Promise<{ passed: boolean; output: string }> => {
  // It leaves a folder of results wherever it runs.
  const folder = await mkdtemp(path.join(tmpdir(), 'mcp-conformance-'));
  try {
    const child = spawn(process.execPath, ['--import', PRELOAD, runner, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { passed: code === 0, output };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
