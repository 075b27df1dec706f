/** The server as a process would run it, in this one: the simulated venues, a process that the test holds. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { listenFault, serveHttp } from '../../../src/app/serve-http.js';
import { runCommandLine } from '../../../src/cli/command-line.js';
import { ConfigError, loadConfig } from '../../../src/config/config.js';
import { FakeProgram } from '../../support/fake-program.js';
import { freePort } from '../../support/free-port.js';
import { recordingLog, type LogLine } from '../../support/recording-log.js';

const SETTINGS = {
  SANDBOX: 'true',
  EXCHANGE_WORKERS: '0',
  REDIS_ENABLED: 'false',
  HOST: '127.0.0.1',
  PORT: '0',
  STORE_URL: 'none',
  SHUTDOWN_NOTICE: '0',
};

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const start = (env: Readonly<Record<string, string>> = {}) => {
  const program = new FakeProgram([], { ...SETTINGS, ...env });
  const log = recordingLog();
  const code = serveHttp(loadConfig(program.env), program, { log });
  ends.push(() => {
    program.signal('SIGTERM');
    return code.catch(() => undefined);
  });
  return { program, log, code };
};

const listening = async (log: { readonly lines: readonly LogLine[] }): Promise<Record<string, unknown>> => {
  const line = () => log.lines.find(({ message }) => message === 'listening');
  await expect.poll(line, { timeout: 20_000 }).toBeDefined();
  return { ...line()?.details };
};

describe('over HTTP', () => {
  test('listens, tells where, and ends in order with 0 on a signal', async () => {
    const { program, log, code } = start();
    const { address, ...also } = await listening(log);
    expect(also).toEqual({ exchanges: ['binance', 'kraken', 'coinbasepro'], sandbox: true });
    expect((await fetch(`${String(address)}/v1/health`)).status).toBe(200);
    program.signal('SIGINT');
    expect(await code).toBe(0);
    await expect(fetch(`${String(address)}/v1/health`)).rejects.toThrow();
    expect(log.lines.at(-1)?.message).toBe('shut down');
  });

  test('tells the address of metrics where they have a port of their own, and more addresses of a name', async () => {
    const { log } = start({ HOST: 'localhost', METRICS_PORT: '0' });
    const { metrics_address: metrics, more_addresses: more } = await listening(log);
    expect(await (await fetch(`${String(metrics)}/metrics`)).text()).toContain('crypto_data_');
    // This machine may have one address for the name or two.
    expect([undefined, 1]).toContain((more as string[] | undefined)?.length);
  });

  // No other way of writing an address of this machine is taken for one, so that the test need not listen elsewhere.
  test.each([
    ['127.1', true],
    ['127.0.0.1', false],
    ['localhost', false],
  ])('warns once that nobody is asked who he is, unless it listens here alone: %s', async (host, warned) => {
    const { log } = start({ HOST: host });
    await listening(log);
    const warnings = log.warnings().filter((message) => message.includes('authentication is off'));
    expect(warnings).toHaveLength(warned ? 1 : 0);
  });

  test('names variables that are likely misspelled settings', async () => {
    const { log } = start({ ENABLED_EXCHANGE: 'okx' });
    await listening(log);
    expect(log.warnings()).toEqual([
      'no settings, ignored: ENABLED_EXCHANGE (did you mean ENABLED_EXCHANGES?)',
    ]);
  });

  test('a port that is taken ends it with 1, and nothing of it is left', async () => {
    const temporary = mkdtempSync(join(tmpdir(), 'serve-'));
    vi.stubEnv('TMPDIR', temporary);
    ends.push(() => {
      vi.unstubAllEnvs();
      rmSync(temporary, { recursive: true });
      return Promise.resolve();
    });
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    ends.push(() => new Promise((resolve) => taken.close(resolve)));
    const { port } = taken.address() as AddressInfo;
    const { log, code } = start({ PORT: String(port), STORE_URL: '', HOME: temporary });
    expect(await code).toBe(1);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([
      {
        level: 'error',
        details: {},
        message: `cannot listen on 127.0.0.1:${port}: another program has this port (EADDRINUSE)`,
      },
    ]);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('a store of simulated candles is, for real ones, a fault of the settings', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'serve-'));
    const STORE_URL = `sqlite:${join(folder, 'candles.db')}`;
    const first = start({ STORE_URL });
    await listening(first.log);
    first.program.signal('SIGTERM');
    await first.code;
    ends.push(() => {
      rmSync(folder, { recursive: true });
      return Promise.resolve();
    });
    const { program, code } = start({ STORE_URL, SANDBOX: 'false' });
    await expect(code).rejects.toThrow(ConfigError);
    await expect(code).rejects.toThrow(/STORE_URL/);
    expect(program.exits).toEqual([]);
  });
});

test('what keeps it from listening is told in words where there are some', () => {
  expect(listenFault(Object.assign(new Error('bind'), { code: 'EACCES' }))).toBe(
    'this user may not open this port (EACCES)',
  );
  expect(listenFault(Object.assign(new Error('bind'), { code: 'EMFILE' }))).toBe('EMFILE');
  expect(listenFault(new Error('no more'))).toBe('Error: no more');
});

test('the command line starts it by default', async () => {
  const port = await freePort();
  const program = new FakeProgram([], { ...SETTINGS, PORT: String(port), LOG_LEVEL: 'error' });
  const code = runCommandLine(program);
  const health = () =>
    fetch(`http://127.0.0.1:${port}/v1/health`).then(
      ({ status }) => status,
      () => null,
    );
  await expect.poll(health, { timeout: 20_000 }).toBe(200);
  program.signal('SIGTERM');
  expect(await code).toBe(0);
});

describe('over standard input and output', () => {
  const initialize = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  };

  const startStdio = async (env: Readonly<Record<string, string>> = {}) => {
    const program = new FakeProgram(['--stdio'], { ...SETTINGS, ...env });
    const code = runCommandLine(program);
    program.stdin.write(`${JSON.stringify(initialize)}\n`);
    await expect.poll(() => program.stdout.text, { timeout: 20_000 }).toContain('\n');
    return { program, code };
  };

  test('speaks the protocol alone on standard output and ends with 0 when its client leaves', async () => {
    const { program, code } = await startStdio();
    expect(JSON.parse(program.stdout.text)).toMatchObject({
      id: 1,
      result: { serverInfo: { name: 'mcp-crypto-data-server' } },
    });
    program.stdin.end();
    expect(await code).toBe(0);
  });

  test('asks nobody who he is: no store of keys is needed, and one that is named is not opened', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stdio-'));
    ends.push(() => rm(folder, { recursive: true }));
    const access = { AUTH_MODE: 'required', ADMIN_API: 'true', METRICS_AUTH: 'true' };
    const file = join(folder, 'access.db');
    const issuer = { OAUTH_ISSUER: 'https://id.example', OAUTH_INTROSPECTION_URL: 'https://id.example/i' };
    for (const env of [access, { ...access, ...issuer, AUTH_STORE: `sqlite:${file}` }]) {
      const { program, code } = await startStdio(env);
      const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'list_exchanges' } };
      program.stdin.write(`${JSON.stringify(call)}\n`);
      await expect.poll(() => program.stdout.text, { timeout: 20_000 }).toContain('"id":2');
      expect(JSON.parse(program.stdout.text.trim().split('\n').at(-1) ?? '')).toMatchObject({
        result: { structuredContent: { exchanges: [{ id: 'binance' }, {}, {}] } },
      });
      program.stdin.end();
      expect(await code).toBe(0);
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test('logs to standard error, and ends with 0 on a signal', async () => {
    const { program, code } = await startStdio();
    program.signal('SIGTERM');
    expect(await code).toBe(0);
    expect(program.stderr.text).toContain('"msg":"shutting down"');
  });
});
