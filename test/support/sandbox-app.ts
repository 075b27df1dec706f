/** The whole app over the sandbox's venues, through CCXT without workers, listening on loopback. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { buildApp, type AppOverrides } from '../../src/app/app.js';
import { loadConfig } from '../../src/config/config.js';
import { silentLog } from '../../src/log/log.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { calmGauge } from './app.js';

export interface SandboxApp {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly url: string;
}

/** The sandbox is not closed with the app. */
export const startSandboxApp = async (
  sandbox: Sandbox,
  env: Readonly<Record<string, string>> = {},
  overrides: AppOverrides = {},
): Promise<SandboxApp> => {
  const config = loadConfig({
    SANDBOX: sandbox.url,
    EXCHANGE_WORKERS: '0',
    REDIS_ENABLED: 'false',
    STORE_URL: 'none',
    ENABLED_EXCHANGES: 'binance,kraken,coinbasepro',
    EXCHANGE_OPTIONS: '{"kraken":{"rateLimit":1},"coinbaseexchange":{"rateLimit":1}}',
    MAX_RETRIES: '0',
    ...env,
  });
  const app = await buildApp(config, { log: silentLog, loadGauge: calmGauge, ...overrides });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  return { app, port, url: `http://127.0.0.1:${port}` };
};

/** Ticks stand still, so that two questions in a row have the same answer. */
export const quietSandbox = (now: () => number = Date.now): Promise<Sandbox> =>
  startSandbox({ marketsPerVenue: 60, ticksPerSecond: 0, weightLimit: Infinity, now });
