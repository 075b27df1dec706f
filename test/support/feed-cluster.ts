/** Two servers of one cluster over a Redis of the test's own and the sandbox's venues. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startRedis, type RedisServer } from './redis-server.js';
import { startSandboxApp, type SandboxApp } from './sandbox-app.js';
import { Reader } from './stream-reader.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

export const PATIENT = { timeout: 20_000, interval: 10 };

let redis: RedisServer;
let sandbox: Sandbox;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  redis = await startRedis();
  sandbox = await startSandbox({ marketsPerVenue: 60, ticksPerSecond: 20, weightLimit: Infinity });
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await sandbox.close();
  await redis.stop();
});

interface Server extends SandboxApp {
  readonly id: string;
  readonly way: TcpProxy;
}

const startServer = async (namespace: string, id: string): Promise<Server> => {
  const way = await startTcpProxy(redis.port);
  const url = `redis://127.0.0.1:${way.port}/0`;
  const env = {
    REDIS_ENABLED: 'true',
    REDIS_URL: url,
    BUS_NAMESPACE: namespace,
    SERVER_ID: id,
  };
  const server = await startSandboxApp(sandbox, env, { now: Date.now, monotonic: steadyNow, redis: null });
  closers.push(async () => {
    await server.app.close();
    await way.close();
  });
  const state = async () =>
    (await server.app.inject('/v1/health/ready')).json<{ checks: { bus: { state: string } } }>().checks.bus
      .state;
  await expect.poll(state, PATIENT).toBe('ok');
  return { ...server, id, way };
};

export const startServers = async () => {
  const namespace = randomUUID().slice(0, 8);
  return { a: await startServer(namespace, 'a'), b: await startServer(namespace, 'b') };
};

export const TRADES = { channel: 'trades' };
export const open = async (server: Server, params: object): Promise<Reader> => {
  const reader = await Reader.open(server.url, params);
  closers.push(() => reader.close());
  return reader;
};
export const isLive = (reader: Reader) => expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
/** Of the test's own Redis and of the venues. */
export const faults = {
  emptyRedis: () => redis.command('FLUSHALL'),
  setTickRate: (ticksPerSecond: number) => sandbox.control.setTickRate(ticksPerSecond),
};
/** Of all servers, at the venues. */
export const subscriptions = () => sandbox.control.listSockets().flatMap(({ channels }) => channels).length;
