/** The bus between the processes of a server keeps to the contract of every bus, whether the server acts alone or not. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Bus } from '../../../src/cluster/bus.js';
import { createRedisBus } from '../../../src/cluster/redis-bus.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import { LocalBus } from '../../../src/processes/local-bus.js';
import { MachineBus } from '../../../src/processes/machine-bus.js';
import { makeSocketFolder, removeSocketFolder } from '../../../src/processes/local-socket.js';
import { startPrimaryHost, type PrimaryHost } from '../../../src/processes/primary-host.js';
import { connectPrimary, type PrimaryLink } from '../../../src/processes/primary-link.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { busContract } from './bus.contract.js';

const PATIENT = { timeout: 20_000, interval: 10 };
const folder = makeSocketFolder();
const folderOfMany = makeSocketFolder();
const clocks = { now: Date.now, monotonic: steadyNow };
let redis: RedisServer;
let host: PrimaryHost;
let hostOfMany: PrimaryHost;
beforeAll(async () => {
  redis = await startRedis();
  const common = {
    ...{ log: silentLog, ownMetrics: () => Promise.resolve('# TYPE own gauge\nown 1\n'), ...clocks },
  };
  host = await startPrimaryHost({ folder, ...common });
  const bus = new MachineBus({
    createBus: (topics) =>
      createRedisBus({
        ...{ topics, limit: 100, log: silentLog, ...clocks },
        settings: {
          ...{ url: redis.url, namespace: 'default', serverId: 'machine', egress: 'direct', sandbox: true },
        },
      }),
    monotonic: steadyNow,
  });
  hostOfMany = await startPrimaryHost({ folder: folderOfMany, ...common, bus });
});
afterAll(async () => {
  await Promise.all([host.close(), hostOfMany.close()]);
  await redis.stop();
  for (const each of [folder, folderOfMany]) removeSocketFolder(each);
});

const joined = async (name: string, of = folder): Promise<PrimaryLink> => {
  const link = await connectPrimary({
    ...{ folder: of, name, serverId: name, log: silentLog, monotonic: steadyNow },
  });
  await link.start(() =>
    Promise.resolve(`# TYPE asked counter\nasked 1\n# TYPE size gauge\nsize ${name.length}\n`),
  );
  return link;
};

const links = new Map<Bus, PrimaryLink>();
const kill = (bus: Bus): Promise<void> => {
  links.get(bus)?.close();
  return Promise.resolve();
};
const busOver = async (link: PrimaryLink, sharesAs: string | null): Promise<Bus> => {
  const bus = new LocalBus(link, { sharesAs, now: Date.now });
  bus.close = () => kill(bus);
  links.set(bus, link);
  await expect.poll(() => bus.isIn, PATIENT).toBe(true);
  return bus;
};
busContract('local', { join: async (id) => busOver(await joined(id), null), kill });
busContract('processes of one of many servers', {
  join: async (id) => busOver(await joined(id, folderOfMany), 'machine'),
  kill,
});

test('a process knows how long another server has been silent, as the server does', async () => {
  const settings = { url: redis.url, namespace: 'default', egress: 'direct', sandbox: true };
  const far = createRedisBus({
    ...{ settings: { ...settings, serverId: 'far' }, limit: 100, log: silentLog, ...clocks },
    topics: () => ({ owned: 0, followed: 0 }),
  });
  far.start();
  const bus = await busOver(await joined('near_1', folderOfMany), 'machine');
  try {
    await expect.poll(() => bus.servers.map(({ id }) => id).sort(), PATIENT).toEqual(['far', 'machine']);
    await expect.poll(() => bus.silentFor('far'), PATIENT).toBeGreaterThan(0);
    expect(bus.silentFor('far')).toBeLessThan(1_200);
    await far.close();
    await expect.poll(() => bus.silentFor('far'), PATIENT).toBeGreaterThan(1_200);
    expect(bus.isIn).toBe(true);
  } finally {
    await Promise.all([bus.close(), far.close()]);
  }
});

test('metrics are those of all, and of one that has ended what it counted', async () => {
  const [a, b] = [await joined('a'), await joined('bb')];
  try {
    expect(await a.call('metrics')).toContain('size{process="a"} 1\nsize{process="bb"} 2\n');
    const asked = async () => Number(/^asked (\d+)$/m.exec(await a.call('metrics'))?.[1]);
    const before = await asked();
    b.close();
    await expect.poll(() => host.silentFor('bb')).toBeNull();
    expect(await a.call('metrics')).not.toContain('process="bb"');
    expect(await asked()).toBe(before);
  } finally {
    a.close();
  }
});
