/** The processes of a server that is one of many: to the others they are one server. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Claim, TopicListener, TopicOwner } from '../../../src/cluster/bus.js';
import type { ServerState } from '../../../src/processes/bus-host.js';
import { MachineBus } from '../../../src/processes/machine-bus.js';
import { MachineTopic } from '../../../src/processes/machine-topic.js';
import { MemoryCluster, type MemoryServer } from '../../support/memory-bus.js';

const TOPIC = 'trades kraken  BTC/USD';

/** What a process was told. */
class FakeProcess {
  readonly heardTexts: string[] = [];
  readonly owners: (TopicOwner | null)[] = [];
  readonly states: ServerState[] = [];
  joins = 0;
  heard(_topic: string, text: string): void {
    this.heardTexts.push(text);
  }
  owned(_topic: string, owner: TopicOwner | null): void {
    this.owners.push(owner);
  }
  joined(): void {
    this.joins += 1;
  }
  state(state: ServerState): void {
    this.states.push(state);
  }
}

class Machine {
  readonly processes = new Map<string, FakeProcess>();
  readonly server: MemoryServer;
  readonly bus: MachineBus;
  topics: () => { readonly owned: number; readonly followed: number } = () => ({ owned: 0, followed: 0 });
  readonly did = { subscribed: 0, claimed: 0, released: 0 };
  /** What the bus takes to answer a claim that it has granted. */
  replyMs = 0;

  constructor(cluster: MemoryCluster, serverId: string) {
    const server = (this.server = cluster.join(serverId));
    const counted: MemoryServer = Object.assign(Object.create(server) as MemoryServer, {
      subscribe: (...args: Parameters<MemoryServer['subscribe']>) => {
        this.did.subscribed += 1;
        return server.subscribe(...args);
      },
      claim: async (...args: Parameters<MemoryServer['claim']>) => {
        this.did.claimed += 1;
        const claim = await server.claim(...args);
        if (this.replyMs > 0) await new Promise((resolve) => setTimeout(resolve, this.replyMs));
        return claim;
      },
      release: (...args: Parameters<MemoryServer['release']>) => {
        this.did.released += 1;
        return server.release(...args);
      },
    });
    this.bus = new MachineBus({
      createBus: (topics) => {
        this.topics = topics;
        return counted;
      },
      monotonic: () => Date.now(),
    });
    for (const name of ['1', '2']) this.start(`${serverId}_${name}`);
  }

  start(id: string): FakeProcess {
    const fake = new FakeProcess();
    this.processes.set(id, fake);
    this.bus.join(id, fake);
    return fake;
  }

  process(id: string): FakeProcess {
    return this.processes.get(id) ?? new FakeProcess();
  }

  kill(id: string): void {
    this.bus.leave(id, this.process(id));
    this.processes.delete(id);
  }

  async claim(id: string, overrule?: { owner: TopicOwner; because: 'dead' | 'handover' }): Promise<Claim> {
    return this.bus.claim(id, TOPIC, overrule);
  }

  publish(id: string, fence: number, seq: number): Promise<boolean> {
    const publication = { id: `${fence}-${seq}`, text: `${fence}-${seq}` };
    return this.bus.publish(id, TOPIC, { fence, publications: [publication], keep: 10 });
  }
}

let cluster: MemoryCluster;
let here: Machine;
let there: Machine;
beforeEach(() => {
  vi.useFakeTimers();
  cluster = new MemoryCluster();
  [here, there] = [new Machine(cluster, 'here'), new Machine(cluster, 'there')];
});
afterEach(async () => {
  await Promise.all([here.bus.close(), there.bus.close()]);
  vi.useRealTimers();
});

/** `ms` in which these processes of both machines say that they are alive. */
const pass = async (ms: number, alive: readonly string[] = ['1', '2']): Promise<void> => {
  for (let passed = 0; passed < ms; passed += 100) {
    for (const { bus, server, processes } of [here, there])
      for (const name of alive)
        if (processes.has(`${server.serverId}_${name}`)) bus.beat(`${server.serverId}_${name}`, []);
    await vi.advanceTimersByTimeAsync(100);
  }
};
const listen = async (...machines: Machine[]): Promise<void> => {
  for (const { bus, processes } of machines) for (const id of processes.keys()) bus.subscribe(id, TOPIC);
  await vi.advanceTimersByTimeAsync(1);
};
const fenceOf = (claim: Claim): number => {
  if (!claim.granted) throw new Error(`owned by ${claim.owner.server}`);
  return claim.fence;
};

test('another machine sees one owner, the processes of this one which of them it is', async () => {
  await listen(here, there);
  const fence = fenceOf(await here.claim('here_1'));
  await here.bus.tell('here_1', TOPIC, { fence, text: 'live', asStatus: true });
  // To the bus it would be the same server.
  expect(await here.publish('here_2', fence, 1)).toBe(false);
  const refused = { granted: false, status: 'live', fences: [fence] };
  expect(await here.claim('here_2')).toEqual({ ...refused, owner: { server: 'here_1', fence } });
  expect(await there.claim('there_1')).toEqual({ ...refused, owner: { server: 'here', fence } });
  for (const id of ['here_1', 'here_2'])
    expect(here.process(id).owners).toEqual([{ server: 'here_1', fence }]);
  expect(there.process('there_2').owners).toEqual([{ server: 'here', fence }]);
});

test('the bus is subscribed once and sends once what every process hears, and its listeners are counted one by one', async () => {
  await listen(here, there);
  here.bus.subscribe('here_1', TOPIC);
  expect([here.did.subscribed, there.did.subscribed]).toEqual([1, 1]);
  const fence = fenceOf(await here.claim('here_1'));
  expect(await here.publish('here_1', fence, 1)).toBe(true);
  for (const machine of [here, there])
    for (const { heardTexts, joins } of machine.processes.values()) {
      expect(heardTexts).toEqual([`${fence}-1`]);
      expect(joins).toBeGreaterThan(0);
    }
  const tell = () => here.bus.tell('here_1', TOPIC, { fence, text: 'top', asStatus: false });
  // Here two, and there one subscription.
  expect(await tell()).toBe(3);
  for (const id of ['there_1', 'there_2']) there.bus.unsubscribe(id, TOPIC);
  expect(await tell()).toBe(2);
  here.bus.unsubscribe('here_2', TOPIC);
  expect(await tell()).toBe(1);
});

test('a process that asks while its sibling’s status is on its way is told that one', async () => {
  await listen(here);
  const fence = fenceOf(await here.claim('here_1'));
  const told = here.bus.tell('here_1', TOPIC, { fence, text: 'live', asStatus: true });
  expect(await here.claim('here_2')).toMatchObject({ granted: false, status: 'live' });
  await told;
});

test('processes that claim at once ask the bus once, and one of them has the topic', async () => {
  await listen(here);
  const claims = await Promise.all([here.claim('here_1'), here.claim('here_2')]);
  expect(claims.map(({ granted }) => granted)).toEqual([true, false]);
  expect(here.did.claimed).toBe(1);
});

test('topics are counted once a machine: held by one of its processes, or else followed', async () => {
  await listen(here, there);
  const fence = fenceOf(await here.claim('here_1'));
  for (const id of ['there_1', 'there_2']) await there.claim(id);
  expect(here.topics()).toEqual({ owned: 1, followed: 0 });
  expect(there.topics()).toEqual({ owned: 0, followed: 1 });
  await here.bus.release('here_1', TOPIC, fence);
  fenceOf(await there.claim('there_2'));
  expect(here.topics()).toEqual({ owned: 0, followed: 1 });
  expect(there.topics()).toEqual({ owned: 1, followed: 0 });
});

test('what a process held that died is its sibling’s, and the other machine sees the same owner with a new fence', async () => {
  await listen(here, there);
  const fence = fenceOf(await here.claim('here_1'));
  const owner = { server: 'here_1', fence };
  here.kill('here_1');
  expect(here.process('here_2').owners).toEqual([owner, null]);
  const next = fenceOf(await here.claim('here_2', { owner, because: 'dead' }));
  expect(next).toBeGreaterThan(fence);
  await pass(2_000);
  expect(here.did.released).toBe(0);
  expect(there.process('there_1').owners).toEqual([
    { server: 'here', fence },
    { server: 'here', fence: next },
  ]);
  // A process of the same name that is started later does not hold it.
  here.start('here_1');
  expect(await here.publish('here_1', fence, 1)).toBe(false);
  expect(await here.publish('here_2', next, 1)).toBe(true);
});

test.each([
  ['at once where no sibling listens', false, 200],
  ['after a moment where none of them takes it', true, 700],
])('what a process held that died is any machine’s, %s', async (_when, siblingListens, ms) => {
  await listen(there);
  here.bus.subscribe('here_1', TOPIC);
  if (siblingListens) here.bus.subscribe('here_2', TOPIC);
  const fence = fenceOf(await here.claim('here_1'));
  await there.claim('there_1');
  here.kill('here_1');
  await pass(ms);
  expect(there.process('there_1').owners.at(-1)).toBeNull();
  const owner = { server: 'here', fence };
  expect(await there.claim('there_1', { owner, because: 'dead' })).toMatchObject({ granted: true });
});

test('what was to be given back while the bus was away is given back when it answers', async () => {
  await listen(here, there);
  const fence = fenceOf(await here.claim('here_1'));
  here.server.cutOff(true);
  await here.bus.release('here_1', TOPIC, fence);
  expect(await there.claim('there_1')).toMatchObject({ granted: false });
  here.server.cutOff(false);
  await pass(200);
  expect(await there.claim('there_1')).toMatchObject({ granted: true });
});

test('what a process held that died while the bus was away is given back once, when the bus answers', async () => {
  here.bus.subscribe('here_1', TOPIC);
  await listen(there);
  const fence = fenceOf(await here.claim('here_1'));
  here.server.cutOff(true);
  here.kill('here_1');
  await pass(3_000);
  expect(here.did.released).toBe(0);
  here.server.cutOff(false);
  await pass(200);
  expect(here.did.released).toBe(1);
  const dead = { owner: { server: 'here', fence }, because: 'dead' as const };
  expect(await there.claim('there_1', dead)).toMatchObject({ granted: true });
});

test('what was granted to a process after it had frozen is any machine’s', async () => {
  await listen(there);
  here.bus.subscribe('here_1', TOPIC);
  here.replyMs = 2_000;
  const claim = here.claim('here_1');
  await pass(3_000, ['2']);
  expect(await claim).toMatchObject({ granted: true });
  expect(await there.claim('there_1')).toMatchObject({ granted: true });
});

test('a process that joins again without having left holds and hears nothing of before', async () => {
  await listen(here);
  const fence = fenceOf(await here.claim('here_1'));
  const before = here.process('here_1');
  here.start('here_1');
  expect(await here.publish('here_1', fence, 1)).toBe(false);
  const next = fenceOf(await here.claim('here_2'));
  expect(await here.publish('here_2', next, 1)).toBe(true);
  expect(before.heardTexts).toEqual([]);
  expect(here.process('here_2').heardTexts).toEqual([`${next}-1`]);
});

test('a process that is frozen loses its topics, and is refused when it wakes', async () => {
  await listen(here, there);
  const fence = fenceOf(await here.claim('here_1'));
  const owner = { server: 'here_1', fence };
  const dead = { owner, because: 'dead' as const };
  await pass(1_000, ['2']);
  expect(await here.claim('here_2', dead)).toMatchObject({ granted: false, owner });
  await pass(400, ['2']);
  expect(here.process('here_2').owners).toEqual([owner, null]);
  const next = fenceOf(await here.claim('here_2', dead));
  await pass(100);
  expect(await here.publish('here_1', fence, 1)).toBe(false);
  expect(await here.bus.tell('here_1', TOPIC, { fence, text: 'late', asStatus: true })).toBeNull();
  expect(await here.claim('here_1')).toMatchObject({
    owner: { server: 'here_2', fence: next },
    status: null,
  });
  expect(here.process('here_2').heardTexts).toEqual([]);
});

test('a primary that did not run for a while takes no process for frozen', async () => {
  await listen(here);
  const fence = fenceOf(await here.claim('here_1'));
  await pass(300);
  vi.setSystemTime(Date.now() + 5_000);
  await vi.advanceTimersByTimeAsync(100);
  await pass(300);
  expect(await here.publish('here_1', fence, 1)).toBe(true);
});

test('an owner that another machine has replaced is over here as well, and siblings ask who is next', async () => {
  await listen(here, there);
  const fence = fenceOf(await here.claim('here_1'));
  const offered = { owner: { server: 'here', fence }, because: 'handover' as const };
  const next = fenceOf(await there.claim('there_1', offered));
  expect(here.process('here_1').owners.at(-1)).toEqual({ server: 'there', fence: next });
  expect(here.topics()).toEqual({ owned: 0, followed: 1 });
  expect(await here.publish('here_1', fence, 1)).toBe(false);
  // That it was replaced was not heard, since the subscription was broken: the bus says so when it publishes.
  const late = new MemoryCluster();
  const [cut, other] = [new Machine(late, 'here'), new Machine(late, 'there')];
  const old = fenceOf(await cut.claim('here_1'));
  fenceOf(await other.claim('there_1', { owner: { server: 'here', fence: old }, because: 'handover' }));
  await listen(cut);
  expect(await cut.publish('here_1', old, 1)).toBe(false);
  expect(cut.process('here_2').owners.at(-1)).toBeNull();
  expect(await cut.claim('here_2')).toMatchObject({ owner: { server: 'there' } });
  await Promise.all([cut.bus.close(), other.bus.close()]);
});

test('a process hands over to its sibling', async () => {
  await listen(here);
  const fence = fenceOf(await here.claim('here_1'));
  const offered = { owner: { server: 'here_1', fence }, because: 'handover' as const };
  const next = fenceOf(await here.claim('here_2', offered));
  expect(here.process('here_1').owners.at(-1)).toEqual({ server: 'here_2', fence: next });
});

test('what a claim was granted whose process died meanwhile is given back', async () => {
  await listen(there);
  const claim = here.claim('here_1');
  await Promise.resolve();
  here.kill('here_1');
  await expect(claim).rejects.toThrow('ended');
  await pass(700);
  expect(await there.claim('there_1')).toMatchObject({ granted: true });
});

test('processes are told at once that the bus is away, and then nobody is followed', async () => {
  await listen(here, there);
  await there.claim('there_1');
  await here.claim('here_1');
  await pass(200);
  here.server.cutOff(true);
  await pass(100);
  for (const { states } of here.processes.values()) expect(states.at(-1)?.isIn).toBe(false);
  expect(here.topics()).toEqual({ owned: 1, followed: 0 });
  here.server.cutOff(false);
  await pass(100);
  for (const { states } of here.processes.values()) expect(states.at(-1)?.isIn).toBe(true);
});

test('a beat tells the silence of processes and of the servers that were asked about', async () => {
  await pass(300, ['1']);
  const beat = here.bus.beat('here_1', ['there', 'here_2', 'gone']);
  expect(Object.fromEntries(beat.processes)).toEqual({ here_1: 0, here_2: 300 });
  expect(beat.servers.get('there')).toBe(0);
  expect(beat.servers.get('gone')).toBe(Infinity);
  expect(beat.state?.isIn).toBe(true);
});

test('announcements that come before the answer to a claim, or after the next one, are told in order and once', () => {
  let bus: TopicListener | undefined;
  const topic = new MachineTopic(TOPIC, {
    serverId: 'here',
    subscribe: (_topic, listener) => {
      bus = listener;
      return () => undefined;
    },
  });
  const listener = new FakeProcess();
  topic.listen('here_1', listener);
  const grant = (fence: number) => topic.granted('here_1', { granted: true, fence, fences: [], top: null });
  bus?.owned({ server: 'here', fence: 1 });
  expect(listener.owners).toEqual([]);
  grant(1);
  grant(2);
  // Of the time between the two.
  bus?.owned(null);
  bus?.owned({ server: 'there', fence: 1 });
  bus?.owned({ server: 'here', fence: 2 });
  topic.released();
  grant(3);
  topic.released();
  bus?.owned({ server: 'here', fence: 3 });
  bus?.owned(null);
  const own = (fence: number) => ({ server: 'here_1', fence });
  expect(listener.owners).toEqual([own(1), { server: 'there', fence: 1 }, own(2), own(3), null]);
});
