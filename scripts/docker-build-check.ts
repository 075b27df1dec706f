/**
 * Proves the Dockerfile without a container engine: runs its very steps in a clean folder, as an unprivileged user,
 * then starts what came out of them as the image would, from files it cannot write, and asks it for data.
 *
 *   npx tsx scripts/docker-build-check.ts
 *
 * What it can't prove: the base image itself, the kernel's limits and the network of the compose file. It uses this
 * machine's Node in place of the base image's, and npm's registry as the build would.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/support/free-port.js';
import { parseEnv, parseExec, parseStages, type Stage } from './dockerfile.js';

/** `nobody` and `nogroup`, where this script runs as root; else whoever runs it. */
const UNPRIVILEGED = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
const START_LIMIT_MS = 60_000;

const context = fileURLToPath(new URL('..', import.meta.url));
const root = mkdtempSync(path.join(tmpdir(), 'docker-build-check-'));
const give = (folder: string): void => {
  if (UNPRIVILEGED.uid !== undefined) chownSync(folder, UNPRIVILEGED.uid, UNPRIVILEGED.gid);
};
give(root);
const home = path.join(root, 'home');
mkdirSync(home);
give(home);

const registry = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim();
/** Nothing of this machine but the way to Node, to the registry and to its certificates. */
const machine = {
  PATH: process.env['PATH'] ?? '',
  HOME: home,
  npm_config_registry: registry,
  npm_config_update_notifier: 'false',
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) =>
      /^(https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
    ),
  ),
};

const say = (text: string): void => console.log(`• ${text}`);
const check = (holds: boolean, claim: string): void => {
  if (!holds) throw new Error(`does not hold: ${claim}`);
  say(claim);
};

/** What .dockerignore lets into the build: ours names each, after a `*`. */
const [everything, ...allowed] = readFileSync(path.join(context, 'docker/Dockerfile.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));
if (everything !== '*' || !allowed.every((line) => line.startsWith('!')))
  throw new Error('Dockerfile.dockerignore must be `*` and exceptions.');
const inContext = (file: string): boolean =>
  allowed.some((line) => file === line.slice(1) || file.startsWith(`${line.slice(1)}/`));

interface Built {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly healthcheck: readonly string[];
  readonly entrypoint: readonly string[];
}

const build = (stage: Stage, built: ReadonlyMap<string, string>): Built => {
  const image = path.join(root, stage.name);
  mkdirSync(image);
  give(image);
  let folder = image;
  const env: Record<string, string> = {};
  let healthcheck: readonly string[] = [];
  let entrypoint: readonly string[] = [];
  for (const { name, text } of stage.instructions) {
    say(`${name} ${text.length > 100 ? `${text.slice(0, 99)}…` : text}`);
    if (name === 'WORKDIR') {
      folder = path.join(image, text);
      mkdirSync(folder, { recursive: true });
      give(folder);
    } else if (name === 'ENV') Object.assign(env, parseEnv(text));
    else if (name === 'COPY') {
      const from = /^--from=(\S+)\s+/.exec(text);
      const words = text.slice(from?.[0].length ?? 0).split(/\s+/);
      const target = words.pop() ?? '';
      for (const word of words) {
        const source =
          from === null ? path.join(context, word) : path.join(built.get(from[1] ?? '') ?? '', word);
        if (from === null) check(inContext(word), `${word} is let into the build`);
        const isFolder = target.endsWith('/');
        const destination = path.join(folder, target, isFolder ? path.basename(word) : '');
        cpSync(source, destination, { recursive: true, verbatimSymlinks: true });
      }
      if (UNPRIVILEGED.uid !== undefined && from === null) spawnSync('chown', ['-R', '65534:65534', image]);
    } else if (name === 'RUN') {
      const { status } = spawnSync('sh', ['-c', text], {
        cwd: folder,
        env: { ...machine, ...env },
        stdio: ['ignore', 'inherit', 'inherit'],
        ...UNPRIVILEGED,
      });
      if (status !== 0) throw new Error(`RUN failed with ${String(status)}: ${text}`);
    } else if (name === 'HEALTHCHECK') healthcheck = parseExec(text.slice(text.indexOf('CMD ') + 4));
    else if (name === 'ENTRYPOINT') entrypoint = parseExec(text);
  }
  return { folder, env, healthcheck, entrypoint };
};

const start = async ({ folder, env, healthcheck, entrypoint }: Built): Promise<void> => {
  const port = await freePort();
  const settings = { SANDBOX: 'true', REDIS_ENABLED: 'false', HOST: '127.0.0.1', PORT: String(port) };
  const options = { cwd: folder, env: { ...machine, ...env, ...settings }, ...UNPRIVILEGED };
  const [command = '', ...args] = entrypoint;
  const server = spawn(command, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => server.once('close', resolve));
  try {
    const [probe = '', ...probeArgs] = healthcheck;
    const deadline = Date.now() + START_LIMIT_MS;
    while (spawnSync(probe, probeArgs, options).status !== 0) {
      if (Date.now() > deadline || server.exitCode !== null) throw new Error('It did not become healthy.');
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    say('HEALTHCHECK says healthy');
    const url = `http://127.0.0.1:${port}/v1/markets/ticker?exchange=binance&symbol=BTC/USDT`;
    const answer = await fetch(url);
    check(answer.status === 200, 'it answers a ticker');
    check(answer.headers.get('data-source') === 'sandbox', 'from the sandbox, and says so');
    server.kill('SIGTERM');
    check((await ended) === 0, 'SIGTERM ends it with code 0');
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
};

try {
  const built = new Map<string, string>();
  const stages = parseStages(readFileSync(path.join(context, 'docker/Dockerfile'), 'utf8'));
  let last: Built | null = null;
  for (const stage of stages) {
    say(`FROM ${stage.base} (this machine's Node ${process.version} in its place)`);
    last = build(stage, built);
    built.set(stage.name, path.join(root, stage.name));
  }
  if (last === null) throw new Error('no stage');
  // As in the image: root's files, which the server can read and not write.
  if (UNPRIVILEGED.uid !== undefined) spawnSync('chown', ['-R', '0:0', last.folder]);
  spawnSync('chmod', ['-R', 'a-w,a+rX', last.folder]);
  check(!existsSync(path.join(last.folder, 'node_modules/vitest')), 'no developer package is in the result');
  say(
    `size of the result: ${spawnSync('du', ['-sh', last.folder], { encoding: 'utf8' }).stdout.split('\t')[0] ?? ''}`,
  );
  await start(last);
  say('The build steps work and their result runs.');
} finally {
  spawnSync('chmod', ['-R', 'u+w', root]);
  rmSync(root, { recursive: true, force: true });
}
