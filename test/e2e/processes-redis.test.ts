/** Two machines of two serving processes each, on one Redis: two servers to each other, one feed a stream (Linux). */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Fleet, type FleetServer } from '../support/server-fleet.js';
import { Reader, expectWhole } from '../support/stream-reader.js';
import { PATIENT, fromEach, killed, processesOf } from './process-rig.js';

/** What is promised of a Redis that is away and comes back, and how many times longer a busy machine may take. */
const [UNSHARED_MS, SHARED_MS, SLOW] = [1_500, 6_000, 10];
const TRADES = { channel: 'trades' };

interface Machine {
  readonly server: FleetServer;
  /** One at each process. */
  readers: Reader[];
}

let fleet: Fleet;
let machines: Machine[] = [];
let north: Machine;
let south: Machine;

const portOf = ({ server }: Machine): { readonly port: number } => ({
  port: Number(new URL(server.url).port),
});
const pidOf = ({ server }: Machine, name: string): number => {
  const pid = processesOf(server.process).get(name);
  if (pid === undefined) throw new Error(`${server.id} has no process ${name}.`);
  return pid;
};
/** By the number of its process. */
const gauges = async ({ server }: Machine, name: string): Promise<Record<string, number>> => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const found = text.matchAll(new RegExp(`^crypto_data_${name}\\{.*process="(\\d)"\\} (\\S+)$`, 'gm'));
  return Object.fromEntries([...found].map(([, number = '', value]) => [number, Number(value)] as const));
};
/** Connections are handed out in turn. */
const readEach = async (machine: Machine, params: object = {}): Promise<Reader[]> => {
  await fromEach(portOf(machine), '/v1/health/live');
  const readers: Reader[] = [];
  for (let count = 0; count < 2; count += 1)
    readers.push(await Reader.open(machine.server.url, { ...TRADES, ...params }));
  return readers;
};
const all = (): Reader[] => machines.flatMap(({ readers }) => readers);
const untilMore = async (readers: readonly Reader[], count = 5): Promise<void> => {
  const before = readers.map(({ trades }) => trades.length);
  await expect
    .poll(() => readers.every(({ trades }, at) => trades.length >= before[at]! + count), PATIENT)
    .toBe(true);
};
/** Which machine and which of its processes hold the feed. */
const holder = async (): Promise<{ readonly machine: Machine; readonly name: string }> => {
  const held: { machine: Machine; name: string }[] = [];
  const look = async (): Promise<number> => {
    held.length = 0;
    for (const machine of machines)
      for (const [name, leases] of Object.entries(await gauges(machine, 'bus_leases_held')))
        for (let lease = 0; lease < leases; lease += 1) held.push({ machine, name });
    return held.length;
  };
  await expect.poll(look, PATIENT).toBe(1);
  return held[0]!;
};
/** Every trade once and no id twice, but for what was told as lost. */
const expectNothingUntold = (readers: readonly Reader[]): void => {
  for (const reader of readers) {
    expect(new Set(reader.ids).size).toBe(reader.ids.length);
    if (reader.of('lost').length === 0) expectWhole(reader.trades);
  }
};
const busOfEach = async (machine: Machine) =>
  (await fromEach(portOf(machine), '/v1/health/ready')).map(
    ({ body }) =>
      (
        JSON.parse(body) as {
          checks: {
            bus: { state: string; server_id: string; servers: number; owned: number; followed: number };
          };
        }
      ).checks.bus,
  );

/** All tests share them. */
const start = async (): Promise<void> => {
  fleet = await Fleet.start({ marketsPerVenue: 10, ticksPerSecond: 20 });
  const servers = await Promise.all([
    fleet.server({ SERVER_PROCESSES: '2', EXCHANGE_WORKERS: '0' }),
    fleet.server({ SERVER_PROCESSES: '2', EXCHANGE_WORKERS: '0' }),
  ]);
  machines = servers.map((server) => ({ server, readers: [] }));
  [north, south] = machines as [Machine, Machine];
  for (const machine of machines) machine.readers = await readEach(machine);
  for (const reader of all()) await expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
  await untilMore(all());
};
afterEach(() => {
  for (const machine of machines) for (const reader of machine.readers) reader.events.length = 0;
});
afterAll(async () => {
  for (const reader of all()) reader.close();
  await fleet.close();
});

test('each process tells of two servers and counts a stream once; the exchange sees one subscription', async () => {
  await start();
  const { machine } = await holder();
  for (const each of machines) {
    const owned = each === machine ? 1 : 0;
    const counted = { state: 'ok', servers: 2, owned, followed: 1 - owned, server_id: each.server.id };
    await expect
      .poll(() => busOfEach(each), PATIENT)
      .toEqual([expect.objectContaining(counted), expect.objectContaining(counted)]);
    for (const { body } of await fromEach(portOf(each), '/v1/status')) {
      const { cluster } = JSON.parse(body) as {
        cluster: {
          server_id: string;
          servers: { id: string; owned: number; followed: number }[];
          owned: { owner: string }[];
          followed: { owner: string }[];
        };
      };
      expect(cluster.server_id).toBe(each.server.id);
      expect(cluster.servers.map(({ id }) => id).sort()).toEqual(
        machines.map(({ server }) => server.id).sort(),
      );
      expect(cluster.servers.map((server) => server.owned).sort()).toEqual([0, 1]);
      expect([cluster.owned.length, cluster.followed.length]).toEqual([owned, 1 - owned]);
      expect([...cluster.owned, ...cluster.followed].map(({ owner }) => owner)).toEqual([machine.server.id]);
    }
    expect(Object.values(await gauges(each, 'stream_clients'))).toEqual([1, 1]);
  }
  expect(fleet.subscriptions()).toBe(1);
  const channels = await fleet.redis.command('PUBSUB', 'CHANNELS', '*:ev:trades*');
  expect(channels).toContain('*1\r\n');
  expect(await fleet.redis.command('PUBSUB', 'NUMSUB', channels.split('\r\n')[2]!)).toContain(':2\r\n');
});

test('an event has the same id at every process of both machines', async () => {
  await untilMore(all(), 10);
  const [first = [], ...others] = all().map(({ events }) =>
    events.filter(({ event_type: type }) => type === 'trades'),
  );
  const byId = new Map(first.map(({ id, trades }) => [id, trades?.map(({ trade_id: trade }) => trade)]));
  for (const events of others) {
    const common = events.filter(({ id }) => byId.has(id));
    expect(common.length).toBeGreaterThan(5);
    for (const { id, trades } of common)
      expect(trades?.map(({ trade_id: trade }) => trade)).toEqual(byId.get(id));
  }
  expectNothingUntold(all());
});

test('a client goes on at any process of the other machine with the id of its last event', async () => {
  await untilMore(all());
  const [stays] = north.readers as [Reader];
  const at = stays.events.findLastIndex(({ id }) => id !== undefined) - 3;
  const resumed = await readEach(south, { since: stays.events[at]!.id });
  for (const reader of resumed)
    await expect
      .poll(() => reader.of('status').some(({ resumed: how }) => how === 'complete'), PATIENT)
      .toBe(true);
  await untilMore(resumed);
  await untilMore([stays]);
  const after = stays.events
    .slice(at + 1)
    .flatMap(({ trades = [] }) => trades.map(({ trade_id: id }) => Number(id)));
  for (const reader of resumed) {
    expect(reader.trades.slice(0, 5)).toEqual(after.slice(0, 5));
    expectWhole(reader.trades);
    reader.close();
  }
});

test('the process that holds a feed is killed: another takes over, and nothing is lost untold', async () => {
  const { machine, name } = await holder();
  const pid = pidOf(machine, name);
  await killed(pid);
  await expect.poll(() => machine.readers.filter(({ isOpen }) => isOpen).length, PATIENT).toBe(1);
  machine.readers = machine.readers.filter(({ isOpen }) => isOpen);
  for (const reader of all()) {
    await expect.poll(() => reader.states, PATIENT).toContain('reconnecting');
    await expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
  }
  await untilMore(all());
  expectNothingUntold(all());
  expect(fleet.subscriptions()).toBe(1);
  await expect.poll(() => processesOf(machine.server.process).get(name) ?? pid, PATIENT).not.toBe(pid);
  for (const each of machines)
    await expect
      .poll(async () => (await busOfEach(each)).map(({ servers }) => servers), PATIENT)
      .toEqual([2, 2]);
  for (const reader of machine.readers) reader.close();
  machine.readers = await readEach(machine);
  await untilMore(all());
});

test('a process that holds a feed and is frozen is replaced as its owner, and follows when it wakes', async () => {
  const { machine, name } = await holder();
  const pid = pidOf(machine, name);
  const fenceOf = (reader: Reader) => Number(reader.ids.at(-1)?.split('-', 1)[0]);
  await untilMore(all());
  const fence = fenceOf(all()[0]!);
  process.kill(pid, 'SIGSTOP');
  try {
    const moved = () => all().filter((reader) => fenceOf(reader) > fence).length;
    await expect.poll(moved, PATIENT).toBe(3);
    await pause(300);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await expect.poll(() => all().every((reader) => fenceOf(reader) > fence), PATIENT).toBe(true);
  await untilMore(all());
  // One owner: whichever of them published, no trade comes twice.
  expectNothingUntold(all());
  expect((await holder()).name === name && (await holder()).machine === machine).toBe(false);
  expect(fleet.subscriptions()).toBe(1);
});

test('while Redis is away each machine as a whole feeds itself, and shares again when it is back', async () => {
  const states = async (): Promise<string[]> =>
    (await Promise.all(machines.map(busOfEach))).flat().map(({ state, servers }) => `${state} ${servers}`);
  await fleet.redis.kill();
  const killedAt = performance.now();
  await expect.poll(states, { ...PATIENT, interval: 10 }).toEqual(Array(4).fill('unshared 1'));
  expect(performance.now() - killedAt).toBeLessThan(SLOW * UNSHARED_MS);
  const isUnshared = ({ detail = '' }: { detail?: string }): boolean => detail.startsWith('unshared');
  // The owner just keeps its feed.
  const unshared = () => all().filter((reader) => reader.of('status').some(isUnshared)).length;
  await expect.poll(unshared, PATIENT).toBe(3);
  await untilMore(all());
  // Both machines, each of them once.
  expect(fleet.subscriptions()).toBe(2);
  await fleet.redis.restart();
  const backAt = performance.now();
  await expect.poll(states, { ...PATIENT, interval: 50 }).toEqual(Array(4).fill('ok 2'));
  await expect.poll(() => fleet.subscriptions(), { ...PATIENT, interval: 50 }).toBe(1);
  expect(performance.now() - backAt).toBeLessThan(SLOW * SHARED_MS);
  await holder();
  expectNothingUntold(all());
});

test('a machine that ends hands its streams over, and no status tells of it', async () => {
  const { machine } = await holder();
  const stays = machine === north ? south : north;
  await untilMore(stays.readers);
  for (const reader of stays.readers) reader.events.length = 0;
  await machine.server.close();
  machines = [stays];
  await expect
    .poll(() => busOfEach(stays), PATIENT)
    .toEqual(Array<unknown>(2).fill(expect.objectContaining({ servers: 1, owned: 1 })));
  await untilMore(stays.readers);
  for (const reader of stays.readers) {
    expect(reader.of('status')).toEqual([]);
    expectWhole(reader.trades);
  }
});
