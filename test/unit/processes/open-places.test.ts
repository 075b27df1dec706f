/** What may be open at once over all processes, as the primary counts it, and as the limits of streams ask for it. */
import { expect, test } from 'vitest';
import { createLiveLimits } from '../../../src/access/live-limits.js';
import { limitsOfBody } from '../../../src/access/plan-limits.js';
import { Principal } from '../../../src/access/principal.js';
import { AppError } from '../../../src/errors.js';
import type { TakePlaces } from '../../../src/lib/open-places.js';
import { silentLog } from '../../../src/log/log.js';
import { OpenPlaces } from '../../../src/processes/open-places.js';
import type { PlanLimitsBody } from '../../../src/schemas/access.js';
import { createConnections } from '../../../src/streams/clients/connections.js';
import { FakeSocket } from '../streams/clients/fake-client.js';

/** As a process asks the primary. */
const processOf = (places: OpenPlaces<string>, name: string): TakePlaces => {
  let lastId = 0;
  return (wanted) => {
    const id = (lastId += 1);
    const missing = new Promise<number | null>((resolve) =>
      queueMicrotask(() => resolve(places.take(name, id, wanted))),
    );
    return { missing, giveBack: () => queueMicrotask(() => places.giveBack(name, id)) };
  };
};

const codeOf = async (confirmed: Promise<void> | null): Promise<string> => {
  try {
    await confirmed;
    return 'ok';
  } catch (thrown) {
    return AppError.from(thrown).code;
  }
};

test('places are taken all or not at all, and what is missing is named', () => {
  const places = new OpenPlaces<string>();
  expect(places.take('1', 1, [{ of: 'a', most: 2 }])).toBe(null);
  expect(
    places.take('2', 1, [
      { of: 'b', most: 1 },
      { of: 'a', most: 1 },
    ]),
  ).toBe(1);
  expect(places.take('2', 2, [{ of: 'b', most: 1 }])).toBe(null);
  places.giveBack('1', 1);
  places.giveBack('1', 1);
  expect(places.take('2', 3, [{ of: 'a', most: 1 }])).toBe(null);
  expect(places.take('1', 2, [{ of: 'a', most: 1 }])).toBe(0);
});

test('an item counts once, wherever it is open', () => {
  const places = new OpenPlaces<string>();
  const take = (name: string, id: number, item: string) =>
    places.take(name, id, [{ of: 'symbols', item, most: 2 }]);
  expect([take('1', 1, 'x'), take('2', 1, 'x'), take('2', 2, 'y'), take('1', 2, 'z')]).toEqual([
    ...[null, null, null, 0],
  ]);
  places.giveBack('1', 1);
  expect(take('1', 3, 'z')).toBe(0);
  places.giveBack('2', 1);
  expect(take('1', 4, 'z')).toBe(null);
});

test('what a process had open that is gone is free', () => {
  const places = new OpenPlaces<string>();
  for (const id of [1, 2]) places.take('1', id, [{ of: 'a', most: 2 }]);
  expect(places.take('2', 1, [{ of: 'a', most: 2 }])).toBe(0);
  places.leave('1');
  expect(places.take('2', 2, [{ of: 'a', most: 1 }])).toBe(null);
});

test('connections of all processes count together, those of a client apart, and a refused one holds no slot', async () => {
  const places = new OpenPlaces<string>();
  const [one, two] = ['1', '2'].map((name) =>
    createConnections({
      ...{ maxConnections: 3, maxPerClient: 2, heartbeatMs: 30_000, sandbox: false },
      ...{ takePlaces: processOf(places, name), now: Date.now, log: silentLog },
    }),
  );
  const socket = new FakeSocket();
  const first = [one?.admit('sse', socket, 'a'), two?.admit('sse', new FakeSocket(), 'a')];
  for (const connection of first) expect(await codeOf(connection?.confirmed ?? null)).toBe('ok');
  const admit = async (client: string) =>
    codeOf(one?.admit('sse', new FakeSocket(), client).confirmed ?? null);
  expect(await admit('a')).toBe('stream_limit_reached');
  expect(one?.stats()).toMatchObject({ sse: 1, refused: 1 });
  expect(await admit('b')).toBe('ok');
  expect(await admit('c')).toBe('overloaded');
  socket.destroy();
  await Promise.resolve();
  expect(await admit('c')).toBe('ok');
  await Promise.all([one?.close(), two?.close()]);
});

test('what a plan allows to be open holds over all processes', async () => {
  const places = new OpenPlaces<string>();
  const [one, two] = ['1', '2'].map((name) => createLiveLimits(processOf(places, name)));
  const callerOf = (limits: PlanLimitsBody, id: string) => {
    const state = { name: 'n', scopes: new Set(['stream:read'] as const), expiresAt: null, revokedAt: null };
    const plan = { name: 'p', limits: limitsOfBody(limits) };
    return {
      principal: new Principal({ kind: 'key', id, consumer: { id } }, { ...state, plan }),
      client: '10.0.0.1',
    };
  };
  const streams = callerOf({ streams: 1 }, 'a');
  const opened = one?.openStream(streams);
  expect(await codeOf(opened?.confirmed ?? null)).toBe('ok');
  expect(await codeOf(two?.openStream(streams).confirmed ?? null)).toBe('stream_limit_reached');
  opened?.end();
  await Promise.resolve();
  expect(await codeOf(two?.openStream(streams).confirmed ?? null)).toBe('ok');

  const symbols = callerOf({ symbols: 1 }, 'b');
  expect(await codeOf(one?.openSymbol(symbols, 'x').confirmed ?? null)).toBe('ok');
  expect(await codeOf(two?.openSubscription(symbols, 'y').confirmed ?? null)).toBe('stream_limit_reached');
  expect(await codeOf(two?.openSubscription(symbols, 'x').confirmed ?? null)).toBe('ok');

  const subscriptions = callerOf({ subscriptions: 1 }, 'c');
  expect(await codeOf(one?.openSubscription(subscriptions, 'x').confirmed ?? null)).toBe('ok');
  expect(await codeOf(two?.openSubscription(subscriptions, 'x').confirmed ?? null)).toBe(
    'stream_limit_reached',
  );
});
