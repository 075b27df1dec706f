/** The built server as a process: how it starts, what it says when it can't, and how it ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

const SERVER = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

interface Running {
  readonly child: ChildProcess;
  /** Standard output and standard error so far. */
  readonly text: () => string;
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Arguments {
  readonly node?: readonly string[];
  readonly server?: readonly string[];
  /** It goes on after the test that starts it. */
  readonly isKept?: boolean;
}

const start = (
  env: Record<string, string>,
  { node = [], server = [], isKept = false }: Arguments = {},
): Running => {
  const child = spawn(process.execPath, [...node, SERVER, ...server], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOST: '127.0.0.1',
      PORT: '0',
      OVERLOAD_DELAY: '0',
      REDIS_ENABLED: 'false',
      SANDBOX: 'true',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (!isKept) children.push(child);
  let text = '';
  const collect = (chunk: Buffer) => (text += chunk.toString());
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => (code ?? signal) as number | string);
  return { child, text: () => text, ended };
};

/** A module that does `what` once the process listens for `event`. */
const faultOnce = (event: string, what: string): string =>
  `data:text/javascript,const t=setInterval(()=>{if(process.listenerCount("${event}")>0){clearInterval(t);${what}}},20)`;

/** At the exit: the CommonJS files that were loaded, and the parts of Node. */
const TELLS_WHAT_IT_LOADED = `data:text/javascript,
import { createRequire } from 'node:module';
const { cache } = createRequire('/');
process.on('exit', () => console.error('loaded ' + [...Object.keys(cache), ...process.moduleLoadList].join('\\n') + ' end'));`;

const listening = async ({ text }: Running): Promise<number> => {
  // Also before a test begins, where there is no `expect.poll`.
  await vi.waitFor(() => expect(text()).toContain('"msg":"listening"'), { timeout: 60_000, interval: 50 });
  return Number(/"address":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(text())?.[1]);
};

const get = (port: number, path: string) =>
  new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    request({ port, path, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode, body }));
    })
      .on('error', reject)
      .end();
  });

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

const expectNoMarkets = async (port: number): Promise<void> => {
  expect((await get(port, '/v1/health')).status).toBe(200);
  const ready = await get(port, '/v1/health/ready');
  expect(JSON.parse(ready.body)).toMatchObject({
    sandbox: true,
    checks: { binance: { markets: 'not_loaded' } },
  });
};

/** In order, after the first signal. */
const expectEnd = async ({ text, ended }: Running): Promise<void> => {
  await expect.poll(text).toContain('shutting down');
  expect(await ended).toBe(0);
  expect(text()).toContain('"msg":"shut down"');
};

test('--version prints the version, starts nothing and ends with 0', async () => {
  const server = start({ PORT: 'no setting is read' }, { server: ['--version'] });
  expect(await server.ended).toBe(0);
  expect(server.text()).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('the first answer waits for no library that it does not need', async () => {
  // No sandbox is there: the threads of the exchanges never reach one, and this thread asks for its seed.
  const settings = { SANDBOX: 'http://127.0.0.1:9', NODE_DEBUG: 'esm' };
  const server = start(settings, { node: ['--import', TELLS_WHAT_IT_LOADED] });
  await listening(server);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  const loaded = /loaded (.*) end/s.exec(server.text())?.[1] ?? '';
  expect(loaded).toContain('internal/modules/esm/loader');
  const unneeded = ['ajv', 'graphql', 'ioredis', 'pg', 'prom-client'];
  const found = unneeded.filter((name) => loaded.includes(`/node_modules/${name}/`));
  if (/undici\/undici$/m.test(loaded)) found.push('undici');
  expect(found).toEqual([]);
  // The bundles of this thread and of the store's; unbundled there are more than 300.
  const files = server.text().match(/Translating StandardModule file:.*\/dist\/.*/g) ?? [];
  expect(files).toContainEqual(expect.stringMatching(/\/chunks\/server-/));
  expect(files.length).toBeLessThan(30);
});

describe('a start that cannot succeed', () => {
  test('an unknown command: exit code 64 and no server', async () => {
    const server = start({}, { server: ['serv'] });
    expect(await server.ended).toBe(64);
    expect(server.text()).toBe(
      'There is no command "serv" (did you mean serve?): see `mcp-crypto-data-server --help`.\n',
    );
  });

  test('bad settings: every fault in one message, exit code 78, nothing else', async () => {
    const server = start({ PORT: 'http', MAX_RETRIES: '-1', ENABLED_EXCHANGES: 'binance,nowhere' });
    expect(await server.ended).toBe(78);
    expect(server.text()).toBe(
      `The settings are not usable:
  - PORT: must be a whole number, not "http"
  - MAX_RETRIES: must be at least 0, not "-1"
  - ENABLED_EXCHANGES: nowhere is not an exchange that CCXT knows
`,
    );
  });

  test('a port that is taken: one line and exit code 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const server = start({ PORT: String(port), STORE_URL: 'none' });
    expect(await server.ended).toBe(1);
    const lines = server.text().trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    const because = 'another program has this port (EADDRINUSE)';
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'error',
      msg: `cannot listen on 127.0.0.1:${port}: ${because}`,
    });
    taken.close();
  });
});

describe('a running server', () => {
  let server: Running;
  let port: number;
  beforeAll(async () => {
    const settings = { ENABLED_EXCHANGE: 'okx', LOGLEVEL: 'DEBUG', NODE_DEBUG: 'esm' };
    server = start(settings, { isKept: true });
    port = await listening(server);
  });
  afterAll(() => server.child.kill('SIGKILL'));

  test('answers health before it knows anything of a venue', async () => {
    await expectNoMarkets(port);
  });

  test('names variables that are likely misspelled settings in one warning', () => {
    const warnings = server
      .text()
      .split('\n')
      .filter((line) => line.includes('"level":"warn"'));
    expect(warnings).toHaveLength(1);
    expect(JSON.parse(warnings[0] ?? '')).toMatchObject({
      msg: 'no settings, ignored: ENABLED_EXCHANGE (did you mean ENABLED_EXCHANGES?), LOGLEVEL (did you mean LOG_LEVEL?)',
    });
  });

  test('has the venues’ threads up before anybody asks for market data', async () => {
    await expect
      .poll(async () => (await get(port, '/metrics')).body, { timeout: 30_000 })
      .toMatch(/^crypto_data_worker_up\{[^}]*\} 1$/m);
  });

  test('loads nothing of GraphQL with its start, REST and documents, but with the first call', async () => {
    const loaded = () =>
      ['graphql', 'graphql-ws'].filter((name) => server.text().includes(`/node_modules/${name}/`));
    for (const path of [TICKER, '/v1/exchanges', '/v1/status', '/metrics', '/openapi.json', '/graphiql'])
      expect(await get(port, path)).toMatchObject({ status: 200 });
    expect(loaded()).toEqual([]);
    expect(await get(port, '/graphql?query={__typename}')).toMatchObject({ status: 200 });
    expect(loaded()).toEqual(['graphql', 'graphql-ws']);
  });

  test('turns readiness off on SIGTERM before it stops listening, and ends with 0', async () => {
    server.child.kill('SIGTERM');
    const statuses: (number | undefined)[] = [];
    for (let gone = false; !gone;)
      await get(port, '/v1/health/ready').then(
        ({ status }) => statuses.push(status),
        () => (gone = true),
      );
    expect(statuses).toContain(503);
    await expectEnd(server);
  });
});

describe('a server', () => {
  test('ends at once by a second signal, whatever it waits for', async () => {
    const server = start({});
    await listening(server);
    server.child.kill('SIGTERM');
    await expect.poll(server.text).toContain('shutting down');
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(143);
  });

  test('logs and counts an unhandled rejection, goes on, and ends with 0 on SIGHUP', async () => {
    const fault = faultOnce('unhandledRejection', 'Promise.reject(new Error("left alone"))');
    const server = start({}, { node: ['--import', fault] });
    const port = await listening(server);
    await expect.poll(server.text).toContain('"count":1');
    expect(server.text()).toContain('left alone');
    await expectNoMarkets(port);
    expect((await get(port, '/metrics')).body).toContain('crypto_data_unhandled_rejections_total 1');
    expect((await get(port, TICKER)).status).toBe(200);
    server.child.kill('SIGHUP');
    await expectEnd(server);
  });

  test('logs an uncaught exception, and ends with 1', async () => {
    const fault = faultOnce('uncaughtException', 'throw new Error("broken")');
    const server = start({}, { node: ['--import', fault] });
    expect(await server.ended).toBe(1);
    expect(server.text()).toContain('uncaught exception');
    expect(server.text()).toContain('broken');
  });
});

test('`npm run --silent mcp` builds what it starts and writes nothing of its own to the protocol’s channel', async () => {
  const env = { ...process.env, REDIS_ENABLED: 'false', SANDBOX: 'true' };
  const child = spawn('npm', ['run', '--silent', 'mcp'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  expect({ code, output }).toEqual({ code: 0, output: '' });
});
