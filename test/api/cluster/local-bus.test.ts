/** The bus between the processes of one server keeps to the contract of every bus. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Bus } from '../../../src/cluster/bus.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import { LocalBus } from '../../../src/processes/local-bus.js';
import { makeSocketFolder, removeSocketFolder } from '../../../src/processes/local-socket.js';
import { startPrimaryHost, type PrimaryHost } from '../../../src/processes/primary-host.js';
import { connectPrimary, type PrimaryLink } from '../../../src/processes/primary-link.js';
import { busContract } from './bus.contract.js';

const folder = makeSocketFolder();
const clocks = { now: Date.now, monotonic: steadyNow };
let host: PrimaryHost;
beforeAll(async () => {
  host = await startPrimaryHost({
    ...{ folder, log: silentLog, ownMetrics: () => Promise.resolve('# TYPE own gauge\nown 1\n'), ...clocks },
  });
});
afterAll(async () => {
  await host.close();
  removeSocketFolder(folder);
});

const joined = async (name: string): Promise<PrimaryLink> => {
  const link = await connectPrimary({ folder, name, serverId: name, log: silentLog, monotonic: steadyNow });
  await link.start(() =>
    Promise.resolve(`# TYPE asked counter\nasked 1\n# TYPE size gauge\nsize ${name.length}\n`),
  );
  return link;
};

const links = new Map<Bus, PrimaryLink>();
busContract('local', {
  async join(serverId) {
    const link = await joined(serverId);
    const bus = new LocalBus(link, Date.now);
    bus.close = () => {
      link.close();
      return Promise.resolve();
    };
    links.set(bus, link);
    return bus;
  },
  kill(bus) {
    links.get(bus)?.close();
    return Promise.resolve();
  },
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
