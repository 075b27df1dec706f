/** The whole app in this process, over a venue and a clock that the test holds in its hands. */
import type { FastifyInstance } from 'fastify';
import { buildApp, type AppOverrides } from '../../src/app/app.js';
import { loadConfig } from '../../src/config/config.js';
import { createFakeExchangeClient, type FakeExchangeClient } from './fake-exchange-client.js';
import { recordingLog } from './recording-log.js';

/** 2023-11-03T08:26:40.000Z. */
export const START = 1_699_000_000_000;

export interface TestApp {
  readonly app: FastifyInstance;
  readonly venue: FakeExchangeClient;
  readonly log: ReturnType<typeof recordingLog>;
  readonly clock: { now: number };
}

const KNOWN_EXCHANGES = ['binance', 'kraken', 'coinbaseexchange', 'okx'];

/** Never overloaded, whatever else this machine does. */
export const calmGauge = { overloaded: () => false, lagMs: () => 0, close: () => undefined };

export const startTestApp = async (
  env: Readonly<Record<string, string>> = {},
  overrides: AppOverrides = {},
): Promise<TestApp> => {
  const clock = { now: START };
  const now = () => clock.now;
  const venue = createFakeExchangeClient(now);
  const log = recordingLog();
  const config = loadConfig({ REDIS_ENABLED: 'false', MAX_RETRIES: '0', STORE_URL: 'none', ...env });
  const app = await buildApp(config, {
    now,
    log,
    exchangeClient: venue,
    knownExchangeIds: KNOWN_EXCHANGES,
    redis: null,
    loadGauge: calmGauge,
    ...overrides,
  });
  return { app, venue, log, clock };
};
