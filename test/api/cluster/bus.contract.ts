/** What every driver of the bus keeps to. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bus, TopicOwner } from '../../../src/cluster/bus.js';

export interface Driver {
  /** A server of the cluster, started. */
  join(serverId: string): Promise<Bus>;
  /** As by `kill -9`. */
  kill(bus: Bus): Promise<void>;
}

const PATIENT = { timeout: 20_000, interval: 10 };

const listen = (bus: Bus, topic: string) => {
  const heard: string[] = [];
  const owners: (TopicOwner | null)[] = [];
  let joined = 0;
  const end = bus.subscribe(topic, {
    heard: (text) => heard.push(text),
    owned: (owner) => owners.push(owner),
    joined: () => (joined += 1),
  });
  const ready = expect.poll(() => joined, PATIENT).toBeGreaterThan(0);
  return { heard, owners, end, ready };
};
const claimed = async (bus: Bus, topic: string): Promise<number> => {
  const claim = await bus.claim(topic);
  if (!claim.granted) throw new Error(`owned by ${claim.owner.server}`);
  return claim.fence;
};
const one = (id: string) => ({ publications: [{ id, text: `text of ${id}` }], keep: 3 });

export const busContract = (name: string, driver: Driver): void => {
  describe(name, () => {
    let a: Bus;
    let b: Bus;
    let topic: string;

    beforeEach(async () => {
      topic = `trades binance ${randomUUID()}/USDT`;
      [a, b] = await Promise.all([driver.join(`a${Date.now()}`), driver.join(`b${Date.now()}`)]);
    });
    afterEach(async () => {
      await Promise.all([a.close(), b.close()]);
    });

    test('a topic has one owner, and the others are told which and what it said last', async () => {
      const fence = await claimed(a, topic);
      await a.tell(topic, fence, { text: 'live', asStatus: true });
      expect(await b.claim(topic)).toEqual({
        granted: false,
        owner: { server: a.serverId, fence },
        status: 'live',
        fences: [fence],
      });
    });

    test('what a server held that died is nobody’s once another of its name is there, and the others are told', async () => {
      const { owners, ready } = listen(b, topic);
      await ready;
      const owner = { server: a.serverId, fence: await claimed(a, topic) };
      const dead = a;
      await driver.kill(dead);
      a = await driver.join(owner.server);
      await expect.poll(() => owners, PATIENT).toEqual([owner, null]);
      const claim = await b.claim(topic, { owner, because: 'dead' });
      expect(claim).toMatchObject({ granted: true });
      expect(await a.publish(topic, owner.fence, one(`${owner.fence}-1`))).toBe(false);
      await dead.close();
    });

    test('no two topics ever share a fence, and a topic that is claimed again gets a higher one', async () => {
      const topics = Array.from({ length: 20 }, (_, index) => `${topic}${index}`);
      const fences = await Promise.all(topics.map((each, index) => claimed(index % 2 === 0 ? a : b, each)));
      expect(new Set(fences).size).toBe(topics.length);
      expect(await claimed(a, topics[0] ?? '')).toBeGreaterThan(Math.max(...fences));
    });

    test('publications reach every listener in order, and what is told is not kept', async () => {
      const listeners = [listen(a, topic), listen(b, topic)];
      await Promise.all(listeners.map(({ ready }) => ready));
      const fence = await claimed(a, topic);
      const ids = [1, 2, 5].map((seq) => `${fence}-${seq}`);
      for (const id of ids) expect(await a.publish(topic, fence, one(id))).toBe(true);
      expect(await a.tell(topic, fence, { text: 'told' })).toBe(2);
      for (const { heard, owners } of listeners) {
        await expect.poll(() => heard, PATIENT).toEqual([...ids.map((id) => `text of ${id}`), 'told']);
        expect(owners).toEqual([{ server: a.serverId, fence }]);
      }
      expect((await b.history(topic)).map(({ id }) => id)).toEqual(ids);
      expect((await b.history(topic, ids[0])).map(({ id }) => id)).toEqual(ids.slice(1));
      expect((await b.history(topic, undefined, 1)).map(({ id }) => id)).toEqual(ids.slice(-1));
      expect((await b.history(topic, ids[0], 100)).map(({ id }) => id)).toEqual(ids.slice(1));
      for (const { end } of listeners) end();
      await expect.poll(() => a.tell(topic, fence, { text: 'nobody' }), PATIENT).toBe(0);
    });

    test('a publication that is sent twice is kept and heard once, and the history is bounded', async () => {
      const { heard, ready } = listen(b, topic);
      await ready;
      const fence = await claimed(a, topic);
      for (const seq of [1, 1, 2, 3, 3, 4]) await a.publish(topic, fence, one(`${fence}-${seq}`));
      await expect.poll(() => heard.length, PATIENT).toBe(4);
      expect((await a.history(topic)).map(({ id }) => id)).toEqual([2, 3, 4].map((seq) => `${fence}-${seq}`));
    });

    test('a dead owner is overruled by its name, and refused when it wakes', async () => {
      const fence = await claimed(a, topic);
      await a.publish(topic, fence, one(`${fence}-1`));
      const owner = { server: a.serverId, fence };
      expect(await b.claim(topic, { owner, because: 'dead' })).toMatchObject({ granted: false, owner });
      await driver.kill(a);
      await expect.poll(() => b.silentFor(a.serverId), PATIENT).toBeGreaterThan(900);
      await expect
        .poll(() => b.claim(topic, { owner, because: 'dead' }), PATIENT)
        .toMatchObject({ granted: true, top: `${fence}-1`, fences: [fence] });
      const woken = await driver.join(a.serverId);
      try {
        expect(await woken.publish(topic, fence, one(`${fence}-2`))).toBe(false);
        expect(await woken.tell(topic, fence, { text: 'late' })).toBeNull();
        await woken.release(topic, fence);
        expect(await woken.claim(topic)).toMatchObject({ granted: false, owner: { server: b.serverId } });
      } finally {
        await woken.close();
      }
    });

    test('an owner that is alive hands over to who names it, and a released topic is free', async () => {
      const fence = await claimed(a, topic);
      const handover = { owner: { server: a.serverId, fence }, because: 'handover' as const };
      const taken = await b.claim(topic, handover);
      expect(taken).toMatchObject({ granted: true });
      expect(await a.claim(topic, handover)).toMatchObject({ granted: false });
      if (taken.granted) await b.release(topic, taken.fence);
      expect(await a.claim(topic)).toMatchObject({ granted: true });
    });

    test('those who listen to a topic that is released are told that it is nobody’s, by its owner alone', async () => {
      const { owners, ready } = listen(b, topic);
      await ready;
      const fence = await claimed(a, topic);
      await b.release(topic, fence);
      await a.release(topic, fence - 1);
      await a.release(topic, fence);
      await expect.poll(() => owners, PATIENT).toEqual([{ server: a.serverId, fence }, null]);
    });

    test('a server that left is silent at once', async () => {
      await expect.poll(() => a.silentFor(b.serverId), PATIENT).toBeLessThan(900);
      await b.close();
      await expect.poll(() => a.silentFor(b.serverId), PATIENT).toBe(Infinity);
    });
  });
};
