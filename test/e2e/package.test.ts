/**
 * What `npm pack` makes, unpacked into an empty folder beside the packages that it depends on and no others. In
 * `npm run test:slow` npm installs it there, from the registry, as a stranger would; no other test installs anything.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { extent } from '../support/extent.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BIN = 'mcp-crypto-data-server';
const INSTALL_LIMIT_MS = 300_000;
const START_LIMIT_MS = 60_000;
const run = promisify(execFile);

/** npm's `pack --json`, whose shape has changed with its versions: a list, or an object by package. */
const packed = z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) });
const packReply = z.union([
  z.array(packed).transform(([first]) => first),
  z.record(z.string(), packed).transform((byName) => Object.values(byName)[0]),
]);

const manifest = z.object({
  bin: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
  optionalDependencies: z.record(z.string(), z.string()),
});

let folder: string;
let tarball: string;
let files: string[];

/** npm's own files stay in the folder too. */
const npmEnv = () => ({
  ...process.env,
  npm_config_cache: join(folder, 'npm'),
  npm_config_update_notifier: 'false',
});

const install = async (): Promise<void> => {
  const options = ['--omit=dev', '--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...options, tarball], {
    cwd: folder,
    env: npmEnv(),
    timeout: INSTALL_LIMIT_MS,
  });
};

/** As `install` leaves it, with this repository's copies of the packages. */
const unpack = async (): Promise<void> => {
  const modules = join(folder, 'node_modules');
  const home = join(modules, BIN);
  await mkdir(home, { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', home]);
  const { bin, dependencies, optionalDependencies } = manifest.parse(
    JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')),
  );
  const links = Object.keys({ ...dependencies, ...optionalDependencies }).map((name) => [
    join(ROOT, 'node_modules', name),
    join(modules, name),
  ]);
  const programs = Object.entries(bin).map(([name, path]) => [join(home, path), join(modules, '.bin', name)]);
  for (const [target = '', path = ''] of [...links, ...programs]) {
    if (!existsSync(target)) continue;
    await mkdir(dirname(path), { recursive: true });
    await symlink(target, path);
  }
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'packed-'));
  // The tests run on a built tree; `prepack` builds it for everybody else.
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: ROOT,
    env: npmEnv(),
  });
  const found = packReply.parse(JSON.parse(stdout));
  tarball = join(folder, found?.filename ?? '');
  files = found?.files.map(({ path }) => path) ?? [];
  await writeFile(join(folder, 'package.json'), '{"private":true}');
  await extent({ short: unpack, long: install })();
}, INSTALL_LIMIT_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Starts the program, asks for a ticker, ends it by `end`. */
const tryOut = async (
  [command, ...args]: readonly [string, ...string[]],
  end: (child: ChildProcess) => void,
) => {
  const env = { ...npmEnv(), SANDBOX: 'true', REDIS_ENABLED: 'false', PORT: '0', HOST: '127.0.0.1' };
  const child = spawn(command, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const closed = once(child, 'close');
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const address = (): string | undefined => /"address":"(http:[^"]+)"/.exec(lines.join('\n'))?.[1];
  try {
    await expect.poll(address, { timeout: START_LIMIT_MS, interval: 50 }).toBeDefined();
    const url = address() ?? '';
    const response = await fetch(`${url}/v1/markets/ticker?exchange=binance&symbol=BTC/USDT`);
    const ticker = z.object({ symbol: z.string(), last: z.number() }).parse(await response.json());
    const redoc = await fetch(`${url}/redoc/redoc.standalone.js`);
    const dashboard = await fetch(`${url}/dashboard/`);
    end(child);
    await expect.poll(() => lines.join('\n'), { timeout: START_LIMIT_MS }).toContain('"msg":"shut down"');
    await closed;
    const source = response.headers.get('data-source');
    return { source, ticker, redoc: redoc.status, dashboard: dashboard.status, code: child.exitCode };
  } finally {
    signalGroup(child, 'SIGKILL');
  }
};

/** The program and all that it started, as Ctrl-C in a terminal does: npx starts the server through a shell. */
const signalGroup = ({ pid }: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // They have ended by themselves.
  }
};

const SERVED = { source: 'sandbox; via=rest', ticker: { symbol: 'BTC/USDT' }, redoc: 200, dashboard: 200 };

/** Of somebody who has installed the package: for the compiler and, without its types, for Node.js. */
const PROGRAM = `
import { createClient, ProblemError } from 'mcp-crypto-data-server/client';
const client = createClient({ url: 'http://127.0.0.1:1', fetch: () => Promise.reject(new Error('offline')) });
const market = { exchange: 'binance', symbol: 'BTC/USDT' };
// @ts-expect-error A ticker has an exchange.
const wrong: object = () => client.ticker({ symbol: 'BTC/USDT' });
try {
  const last: number | null = (await client.ticker(market)).last;
  console.log(last);
} catch (error) {
  if (error instanceof ProblemError) console.log(error.code, error.status, error.retryable);
}
try {
  client.stream.subscribe({ channel: 'trades', ...market }, { onEvent: (event) => event.event_type });
} catch (error) {
  if (error instanceof Error) console.log(error.message.split(' (')[0]);
}
`;

describe('the package', () => {
  test('runs by its bin and ends with 0 on SIGTERM', async () => {
    const bin = join(folder, 'node_modules', '.bin', BIN);
    const tried = await tryOut([bin], (child) => child.kill('SIGTERM'));
    expect(tried).toMatchObject({ ...SERVED, code: 0 });
  });

  test('runs by npx, and ends in order on Ctrl-C', async () => {
    const fromTarball = ['--yes', '--prefer-offline', '--package', tarball];
    const npx = ['npx', ...extent({ short: ['--no'], long: fromTarball }), BIN] as const;
    expect(await tryOut(npx, (child) => signalGroup(child, 'SIGINT'))).toMatchObject(SERVED);
  });

  test('brings a client that needs nothing beside itself, with types for programs that are checked', async () => {
    const own = files.filter((path) => path.startsWith('dist/client/'));
    const imported = own.flatMap((path) =>
      [...readFileSync(join(ROOT, path), 'utf8').matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(
        ([, from = '']) => from,
      ),
    );
    expect(imported.length).toBeGreaterThan(10);
    expect(imported.filter((from) => !from.startsWith('./'))).toEqual([]);
    await writeFile(join(folder, 'program.mts'), PROGRAM);
    const strict = [
      '--strict',
      '--noEmit',
      '--skipDefaultLibCheck',
      '--module',
      'nodenext',
      '--lib',
      'es2023,dom',
    ];
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    await run(process.execPath, [tsc, ...strict, 'program.mts'], { cwd: folder });
    const script = PROGRAM.replaceAll(/\/\/ @ts-expect-error.*\n.*\n/g, '').replaceAll(': number | null', '');
    await writeFile(join(folder, 'program.mjs'), script);
    const { stdout } = await run(process.execPath, ['--no-experimental-websocket', 'program.mjs'], {
      cwd: folder,
    });
    expect(stdout).toBe('network_error 0 true\nThere is no WebSocket here\n');
  });

  test('holds the built program and nothing that was not built from a source of today', () => {
    const built = files.filter((path) => /^dist\/(?!docs\/|dashboard\/|chunks\/)/.test(path));
    expect(built).toContain('dist/cli.js');
    expect(built).toEqual(expect.arrayContaining(['dist/client/client.js', 'dist/client/client.d.ts']));
    expect(built).toContain('dist/exchanges/worker/worker-entry.js');
    expect(
      built.filter(
        (path) =>
          !/\.js$|^dist\/client\/.*\.d\.ts$|^dist\/(ledger|access\/store)\/migrations\/.*\.sql$/.test(path),
      ),
    ).toEqual([]);
    const sources = built.map((path) =>
      path
        .replace(/^dist\/(?=client\/)/, 'web/')
        .replace(/^dist\//, 'src/')
        .replace(/\.(?:js|d\.ts)$/, '.ts'),
    );
    expect(sources.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test('holds no test, no source, no personal setting and no lock file', () => {
    expect(
      files.filter((path) => /^(src|test|bench|scripts|node_modules)\/|\.env$|lock[^/]*\.json$/.test(path)),
    ).toEqual([]);
  });

  test('brings what the program is bundled from, and nothing of an earlier build', () => {
    const chunks = files.flatMap((path) => /^dist\/chunks\/(.*)$/.exec(path)?.[1] ?? []);
    const text = (path: string): string => readFileSync(join(ROOT, 'dist', path), 'utf8');
    const entries = ['cli.js', 'exchanges/worker/worker-entry.js', 'ledger/sqlite/worker-entry.js'];
    const code = [
      ...entries,
      ...chunks.filter((name) => name.endsWith('.js')).map((name) => `chunks/${name}`),
    ];
    const loaded = code.flatMap((path) =>
      [...text(path).matchAll(/["']\.[^"'\n]*\/([\w-]+-[\w-]{8}\.js)["']/g)].map(([, name = '']) => name),
    );
    expect(chunks.sort()).toEqual(['LICENSES.txt', ...new Set(loaded)].sort());
    const licences = text('chunks/LICENSES.txt');
    for (const name of ['fastify', 'find-my-way', 'pino', 'ws', 'zod'])
      expect(licences).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(MIT\\)$`, 'm'));
  });

  test("brings ReDoc's bundle with its licences", () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'dist/docs/redoc/redoc.standalone.js',
        'dist/docs/redoc/redoc.standalone.js.LICENSE.txt',
        'dist/docs/redoc/redoc.LICENSE.txt',
      ]),
    );
  });

  test('brings the page, with the licences of its parts', () => {
    const page = files.filter((path) => path.startsWith('dist/dashboard/'));
    expect(page).toEqual(
      expect.arrayContaining([
        ...['dist/dashboard/index.html', 'dist/dashboard/files.json'],
        ...['dist/dashboard/assets/LICENSES.txt', expect.stringMatching(/assets\/index-[\w-]+\.js\.br$/)],
      ]),
    );
    expect(page.filter((path) => path.includes('.tmp'))).toEqual([]);
  });

  test('holds every file that its README links to', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const links = [...readme.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link);
    const local = links.filter((link) => !/^[a-z]+:/.test(link) && existsSync(join(ROOT, link)));
    expect(local.length).toBeGreaterThan(3);
    expect(local.filter((link) => !files.includes(link))).toEqual([]);
  });
});
