/** The built server as a process: how it starts, what it says when it can't, and how it ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';

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
}

const start = (env: Record<string, string>, { node = [], server = [] }: Arguments = {}): Running => {
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
  children.push(child);
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
  await expect.poll(text, { timeout: 60_000 }).toContain('"msg":"listening"');
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

test('nothing of GraphQL is loaded by a start, REST and documents, but by its first call', async () => {
  const server = start({ NODE_DEBUG: 'esm' });
  const port = await listening(server);
  const loaded = () =>
    ['graphql', 'graphql-ws'].filter((name) => server.text().includes(`/node_modules/${name}/`));
  const ticker = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
  for (const path of [ticker, '/v1/exchanges', '/v1/status', '/metrics', '/openapi.json', '/graphiql'])
    expect(await get(port, path)).toMatchObject({ status: 200 });
  expect(loaded()).toEqual([]);
  expect(await get(port, '/graphql?query={__typename}')).toMatchObject({ status: 200 });
  expect(loaded()).toEqual(['graphql', 'graphql-ws']);
});

test('the venues’ threads are up before anybody asks for market data', async () => {
  const port = await listening(start({}));
  await expect
    .poll(async () => (await get(port, '/metrics')).body, { timeout: 30_000 })
    .toMatch(/^crypto_data_worker_up\{[^}]*\} 1$/m);
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
  test('names variables that are likely misspelled settings in one warning', async () => {
    const server = start({ ENABLED_EXCHANGE: 'okx', LOGLEVEL: 'DEBUG' });
    await listening(server);
    const warnings = server
      .text()
      .split('\n')
      .filter((line) => line.includes('"level":"warn"'));
    expect(warnings).toHaveLength(1);
    expect(JSON.parse(warnings[0] ?? '')).toMatchObject({
      msg: 'no settings, ignored: ENABLED_EXCHANGE (did you mean ENABLED_EXCHANGES?), LOGLEVEL (did you mean LOG_LEVEL?)',
    });
  });

  test.each(['SIGTERM', 'SIGHUP'] as const)(
    'answers health before it knows anything of a venue, then a ticker, and ends with 0 on %s',
    async (signal) => {
      const server = start({});
      const port = await listening(server);
      expect((await get(port, '/v1/health')).status).toBe(200);
      const ready = await get(port, '/v1/health/ready');
      expect(JSON.parse(ready.body)).toMatchObject({
        sandbox: true,
        checks: { binance: { markets: 'not_loaded' } },
      });
      const ticker = await get(port, '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT');
      expect(ticker.status).toBe(200);
      server.child.kill(signal);
      await expect.poll(server.text).toContain('shutting down');
      expect(await server.ended).toBe(0);
      expect(server.text()).toContain('"msg":"shut down"');
    },
  );

  test('readiness turns off before the server stops listening', async () => {
    const server = start({});
    const port = await listening(server);
    server.child.kill('SIGTERM');
    const statuses: (number | undefined)[] = [];
    for (let gone = false; !gone;)
      await get(port, '/v1/health/ready').then(
        ({ status }) => statuses.push(status),
        () => (gone = true),
      );
    expect(statuses).toContain(503);
    expect(await server.ended).toBe(0);
  });

  test('a second signal ends it at once, whatever it waits for', async () => {
    const server = start({});
    await listening(server);
    server.child.kill('SIGTERM');
    await expect.poll(server.text).toContain('shutting down');
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(143);
  });

  test('an unhandled rejection is logged and counted, and it goes on', async () => {
    const fault = faultOnce('unhandledRejection', 'Promise.reject(new Error("left alone"))');
    const server = start({}, { node: ['--import', fault] });
    const port = await listening(server);
    await expect.poll(server.text).toContain('"count":1');
    expect(server.text()).toContain('left alone');
    expect((await get(port, '/v1/health')).status).toBe(200);
    expect((await get(port, '/metrics')).body).toContain('crypto_data_unhandled_rejections_total 1');
  });

  test('an uncaught exception is logged and ends it with 1', async () => {
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
