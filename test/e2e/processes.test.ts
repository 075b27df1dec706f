/** SERVER_PROCESSES: a primary, a feeder and two processes that serve act as one server (Linux). */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Reader, expectWhole } from '../support/stream-reader.js';
import { answeredBy, get, isAlive, processesOf, type Answer } from './process-rig.js';
import { startRig, type Rig } from './streams-rig.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const PATIENT = { timeout: 30_000, interval: 50 };
const TWO = { SERVER_PROCESSES: '2', STORE_URL: 'none', STREAM_LINGER: '0.1' };
/** After the death of a process no request fails that is made 100 ms later: here ten times as much, for a busy machine. */
const SETTLED_MS = 1_000;

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

const start = async (env: Record<string, string> = {}): Promise<Rig> =>
  (rig = await startRig({ ...TWO, ...env }));

/** One answer of each process that serves: connections are handed out in turn. */
const fromEach = async ({ port }: Rig, path: string): Promise<Answer[]> => {
  const answers = new Map<string, Answer>();
  await expect
    .poll(async () => {
      const answer = await get(port, path);
      return answers.set(answeredBy(answer), answer).size;
    }, PATIENT)
    .toBe(2);
  return [...answers.values()];
};

const killed = async (pid: number): Promise<void> => {
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => isAlive(pid), { ...PATIENT, interval: 1 }).toBe(false);
};

/** Readers of trades at both processes, whose feed is live. */
const readEach = async (started: Rig): Promise<Reader[]> => {
  await fromEach(started, '/v1/health/live');
  const readers = await Promise.all([1, 2, 3, 4].map(() => Reader.open(started.url, { channel: 'trades' })));
  for (const name of ['1', '2'])
    await expect
      .poll(async () => started.metric('stream_clients', `process="${name}"`), PATIENT)
      .toBeGreaterThan(0);
  for (const reader of readers) {
    await expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
    const before = reader.trades.length;
    await expect.poll(() => reader.trades.length, PATIENT).toBeGreaterThan(before + 5);
  }
  return readers;
};

const pidOf = ({ process: primary }: Rig, name: string): number => {
  const pid = processesOf(primary).get(name);
  if (pid === undefined) throw new Error(`There is no process ${name}.`);
  return pid;
};

test('both processes answer, and the exchange sees one load of its markets and one request for a ticker', async () => {
  const started = await start({ TICKER_CACHE_TTL: '60' });
  const answers = await fromEach(started, TICKER);
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(answers[0]?.body).toBe(answers[1]?.body);
  const kinds = started.sandbox.control.requestLog().map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'ticker')).toHaveLength(1);
  expect(kinds.filter((kind) => kind === 'markets')).toHaveLength(1);
  expect([...processesOf(started.process).keys()].sort()).toEqual(['1', '2', 'feeder']);
});

test('streams of both processes share one feed, and an event has the same id in each', async () => {
  const started = await start();
  started.sandbox.control.setTickRate(20);
  const readers = await readEach(started);
  await expect.poll(() => Math.min(...readers.map(({ ids }) => ids.length)), PATIENT).toBeGreaterThan(20);
  expect(started.sandbox.control.counters().channels).toBe(1);
  const [first, ...others] = readers.map(({ ids }) => ids);
  for (const ids of others) {
    const from = first?.indexOf(ids[0] ?? '') ?? -1;
    expect(from).toBeGreaterThanOrEqual(0);
    const common = Math.min(ids.length, (first?.length ?? 0) - from);
    expect(common).toBeGreaterThan(5);
    expect(ids.slice(0, common)).toEqual(first?.slice(from, from + common));
  }
  for (const reader of readers) expectWhole(reader.trades);
  for (const reader of readers) reader.close();
});

test('a client goes on at the other process with the id of its last event, and misses nothing', async () => {
  const started = await start();
  started.sandbox.control.setTickRate(20);
  const stays = await readEach(started);
  const since = stays[0]?.ids.at(-5) ?? '';
  // Connections are handed out in turn: one of the two is served by the process that has not sent that event to it.
  const resumed = await Promise.all([1, 2].map(() => Reader.open(started.url, { channel: 'trades', since })));
  for (const reader of resumed) {
    await expect
      .poll(() => reader.of('status').some(({ resumed: how }) => how === 'complete'), PATIENT)
      .toBe(true);
    await expect.poll(() => reader.trades.length, PATIENT).toBeGreaterThan(10);
    const all = stays[0]?.events.filter(({ event_type }) => event_type === 'trades') ?? [];
    const after = all.slice(all.findIndex(({ id }) => id === since) + 1).flatMap(({ trades = [] }) => trades);
    const got = reader.trades.slice(0, after.length);
    expect(got).toEqual(after.slice(0, got.length).map(({ trade_id }) => Number(trade_id)));
  }
  for (const reader of [...stays, ...resumed]) reader.close();
});

test('any process answers /metrics with the sum, also of one that was killed, and says whose a gauge is', async () => {
  const started = await start({ TICKER_CACHE_TTL: '60' });
  await fromEach(started, TICKER);
  for (let count = 0; count < 40; count += 1) await get(started.port, TICKER);
  const counted = async () => started.metric('http_requests_total', 'route="/v1/markets/ticker"');
  // A process that is busy may be late with what it has counted.
  await expect.poll(counted, PATIENT).toBeGreaterThanOrEqual(42);
  const total = await counted();
  const scrapes = await fromEach(started, '/metrics');
  for (const { body } of scrapes) {
    expect(body).toContain(
      `crypto_data_http_requests_total{method="GET",route="/v1/markets/ticker",status="200"} ${total}`,
    );
    for (const name of ['primary', 'feeder', '1', '2'])
      expect(body).toMatch(new RegExp(`^process_resident_memory_bytes\\{process="${name}"\\} \\d+$`, 'm'));
    expect(body).toMatch(/^crypto_data_upstream_budget_limit\{exchange="binance",process="feeder"\} 100$/m);
    expect(body.match(/^# TYPE crypto_data_http_requests_total/gm)).toHaveLength(1);
  }
  await killed(pidOf(started, '1'));
  await expect.poll(async () => started.metric('process_restarts_total', 'name="1"'), PATIENT).toBe(1);
  await expect.poll(counted, PATIENT).toBe(total);
  await get(started.port, TICKER);
  await expect.poll(counted, PATIENT).toBe(total + 1);
});

test('the client limit holds over both processes, without Redis', async () => {
  const started = await start({ CLIENT_RATE_LIMIT_REQUESTS: '20', TICKER_CACHE_TTL: '60' });
  const statuses: (number | undefined)[] = [];
  for (let count = 0; count < 40; count += 1) statuses.push((await get(started.port, TICKER)).status);
  const passed = statuses.filter((status) => status === 200).length;
  // Counts are exchanged within a few milliseconds, ten times as long on a busy machine; counted apart, all 40 would pass.
  expect(passed).toBeGreaterThanOrEqual(20);
  expect(passed).toBeLessThanOrEqual(30);
  expect(statuses.slice(-10).every((status) => status === 429)).toBe(true);
});

describe('a death', () => {
  /** Requests one after the other until enough of them were made so long after a time; gives those of them that failed. */
  const ask = (port: number, path: string) => {
    const made: { readonly at: number; readonly what: string | null }[] = [];
    let stopped = false;
    const running = (async () => {
      while (!stopped) {
        const at = performance.now();
        const what = await get(port, path).then(
          ({ status }) => (status === 200 ? null : String(status)),
          (error: unknown) => String(error),
        );
        made.push({ at, what });
      }
    })();
    return {
      async failuresAfter(time: number) {
        const settled = () => made.filter(({ at }) => at > time + SETTLED_MS);
        await expect.poll(() => settled().length, PATIENT).toBeGreaterThan(20);
        stopped = true;
        await running;
        return settled().filter(({ what }) => what !== null);
      },
    };
  };

  test.each(['1', '2', 'feeder'])(
    'of process %s fails no request that comes later, and it is replaced',
    async (name) => {
      const started = await start({ TICKER_CACHE_TTL: '0.05' });
      await fromEach(started, TICKER);
      const pid = pidOf(started, name);
      const asking = [1, 2, 3].map(() => ask(started.port, TICKER));
      await killed(pid);
      const at = performance.now();
      await expect.poll(() => processesOf(started.process).get(name) ?? pid, PATIENT).not.toBe(pid);
      await expect
        .poll(async () => (await get(started.port, '/v1/health/ready')).body, PATIENT)
        .toContain('"binance":{"state":"ok"');
      await fromEach(started, TICKER);
      for (const one of asking) expect(await one.failuresAfter(at)).toEqual([]);
    },
  );

  test('of the process that holds a feed is bridged without a lost trade at the other one', async () => {
    const started = await start();
    started.sandbox.control.setTickRate(20);
    const readers: Reader[] = [];
    // Whichever of them holds the feed.
    for (const name of ['1', '2']) {
      readers.push(...(await readEach(started)));
      const pid = pidOf(started, name);
      const before = readers.map(({ trades }) => trades.length);
      await killed(pid);
      await expect
        .poll(() => readers.some(({ trades }, index) => trades.length > (before[index] ?? 0) + 20), PATIENT)
        .toBe(true);
      await expect.poll(() => processesOf(started.process).get(name) ?? pid, PATIENT).not.toBe(pid);
    }
    for (const reader of readers) {
      expect(reader.of('lost')).toEqual([]);
      expectWhole(reader.trades);
      expect(new Set(reader.ids).size).toBe(reader.ids.length);
      reader.close();
    }
    expect(started.sandbox.control.counters().channels).toBe(1);
  });

  test('of the feeder is told by a status, cached answers go on, and the feed comes back', async () => {
    const started = await start({ TICKER_CACHE_TTL: '60' });
    started.sandbox.control.setTickRate(20);
    await fromEach(started, TICKER);
    const readers = await readEach(started);
    const before = readers.map(({ trades }) => trades.length);
    await killed(pidOf(started, 'feeder'));
    expect((await fromEach(started, TICKER)).map(({ status }) => status)).toEqual([200, 200]);
    for (const reader of readers) {
      await expect.poll(() => reader.states, PATIENT).toContain('reconnecting');
      await expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
    }
    await expect
      .poll(() => readers.every(({ trades }, index) => trades.length > (before[index] ?? 0) + 20), PATIENT)
      .toBe(true);
    for (const reader of readers) {
      if (reader.of('lost').length === 0) expectWhole(reader.trades);
      reader.close();
    }
  });
});

describe('the end', () => {
  test('SIGTERM to the primary answers what is under way, ends every process and gives 0', async () => {
    const started = await start();
    await fromEach(started, TICKER);
    const pids = [...processesOf(started.process).values()];
    started.sandbox.control.setFault({
      venue: 'binance',
      match: 'ticker',
      fault: { type: 'delay', ms: 1_000 },
    });
    const waiting = get(started.port, '/v1/markets/ticker?exchange=binance&symbol=ETH/USDT');
    const asked = () => started.sandbox.control.requestLog().some(({ query }) => query.includes('ETHUSDT'));
    await expect.poll(asked, PATIENT).toBe(true);
    const exited = once(started.process, 'exit');
    started.process.kill('SIGTERM');
    expect((await waiting).status).toBe(200);
    expect((await exited)[0]).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test('signals to the whole group, as of a terminal, end it no other way', async () => {
    const started = await start();
    const pids = [...processesOf(started.process).values()];
    const exited = once(started.process, 'exit');
    for (const pid of pids) process.kill(pid, 'SIGINT');
    started.process.kill('SIGINT');
    expect((await exited)[0]).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test('a primary that is killed takes the others with it', async () => {
    const started = await start();
    const pids = [...processesOf(started.process).values()];
    expect(pids).toHaveLength(3);
    await killed(started.process.pid ?? 0);
    await expect.poll(() => pids.filter(isAlive), PATIENT).toEqual([]);
  });

  test('a port that is taken ends the server with 1', async () => {
    const started = await start();
    await expect(startRig({ ...TWO, PORT: String(started.port) })).rejects.toThrow('The server ended with 1');
  });
});

test('one process is one process', async () => {
  const started = await start({ SERVER_PROCESSES: '1' });
  expect(processesOf(started.process).size).toBe(0);
  expect((await get(started.port, TICKER)).status).toBe(200);
});

test('nobody else may enter the sockets between the processes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sockets-'));
  try {
    await start({ TMPDIR: folder });
    const [own = ''] = readdirSync(folder).filter((name) => name.startsWith('mcds-'));
    expect(statSync(join(folder, own)).mode & 0o777).toBe(0o700);
    const sockets = readdirSync(join(folder, own));
    expect(sockets.sort()).toEqual(['feeder.sock', 'primary.sock']);
    for (const socket of sockets) expect(statSync(join(folder, own, socket)).mode & 0o777).toBe(0o600);
    await rig?.close();
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
