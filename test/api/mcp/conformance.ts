/**
 * The official conformance runner as a child process, which runs one command after another: importing it takes most of a
 * command's time. It imports `fs.globSync`, which Node 20 lacks and its server scenarios don't call; a loader hook stands
 * in for it.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
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

const COMMANDS = fileURLToPath(new URL('./conformance-commands.js', import.meta.url));
const RUNNER = new URL(
  '../../../node_modules/@modelcontextprotocol/conformance/dist/index.js',
  import.meta.url,
).href;

interface Ended {
  readonly code: number;
  readonly output: string;
}

export interface Conformance {
  /** What a command printed, and whether all checks of its scenario passed. One at a time. */
  run(args: readonly string[]): Promise<{ passed: boolean; output: string }>;
  close(): Promise<void>;
}

export const startConformance = async (): Promise<Conformance> => {
  // It leaves a folder of results wherever it runs.
  const folder = await mkdtemp(path.join(tmpdir(), 'mcp-conformance-'));
  const child = fork(COMMANDS, [RUNNER], { cwd: folder, execArgv: ['--import', PRELOAD] });
  const exited = once(child, 'exit');
  return {
    async run(args) {
      const ended = once(child, 'message') as Promise<[Ended]>;
      child.send([...args]);
      const died = exited.then(() => Promise.reject(new Error('The conformance runner has died.')));
      const [{ code, output }] = await Promise.race([ended, died]);
      return { passed: code === 0, output };
    },
    async close() {
      child.kill();
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
};
