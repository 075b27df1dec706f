/** SERVER_PROCESSES: a primary, a feeder and two processes that serve act as one server (Linux). */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Reader, expectWhole } from '../support/stream-reader.js';
import { PATIENT, fromEach, get, isAlive, killed, processesOf } from './process-rig.js';
import { startRig, type Rig } from './streams-rig.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const CANDLES = '/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&interval=1h';
const BOOK = '/v1/markets/orderbook?exchange=binance&symbol=BTC/USDT';
const TWO = { SERVER_PROCESSES: '2', STORE_URL: 'none', STREAM_LINGER: '0.1', TICKER_CACHE_TTL: '600' };
/** After the death of a process no request fails that is made 100 ms later: here ten times as much, for a busy machine. */
const SETTLED_MS = 1_000;

/** The server of the `describe` that runs: its tests share it, and the last of them ends it. */
let started: Rig;
const readers: Reader[] = [];
const startOnce = (env: Record<string, string> = {}): void => {
  beforeAll(async () => {
    started = await startRig({ ...TWO, ...env });
  });
  afterEach(() => {
    for (const reader of readers.splice(0)) reader.close();
    started.sandbox.control.setTickRate(0);
  });
  afterAll(() => started.close());
};

const readTrades = async (count: number, params: object = {}): Promise<Reader[]> => {
  const opened = await Promise.all(
    Array.from({ length: count }, () => Reader.open(started.url, { channel: 'trades', ...params })),
  );
  readers.push(...opened);
  return opened;
};

/** Readers of trades at both processes, whose feed is live. */
const readEach = async (): Promise<Reader[]> => {
  started.sandbox.control.setTickRate(20);
  await fromEach(started, '/v1/health/live');
  const opened = await readTrades(4);
  for (const name of ['1', '2'])
    await expect
      .poll(async () => started.metric('stream_clients', `process="${name}"`), PATIENT)
      .toBeGreaterThan(0);
  for (const reader of opened) {
    await expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
    const before = reader.trades.length;
    await expect.poll(() => reader.trades.length, PATIENT).toBeGreaterThan(before + 5);
  }
  return opened;
};

const pidOf = (name: string): number => {
  const pid = processesOf(started.process).get(name);
  if (pid === undefined) throw new Error(`There is no process ${name}.`);
  return pid;
};

const replaced = (name: string, pid: number): Promise<void> =>
  expect.poll(() => processesOf(started.process).get(name) ?? pid, PATIENT).not.toBe(pid);

describe('two processes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sockets-'));
  startOnce({ TMPDIR: folder });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('both processes answer, and the exchange sees one load of its markets and one request for a ticker', async () => {
    const answers = await fromEach(started, TICKER);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[0]?.body).toBe(answers[1]?.body);
    const kinds = started.sandbox.control.requestLog().map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'ticker')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'markets')).toHaveLength(1);
    expect([...processesOf(started.process).keys()].sort()).toEqual(['1', '2', 'feeder']);
  });

  test('streams of both processes share one feed, and an event has the same id in each', async () => {
    const opened = await readEach();
    await expect.poll(() => Math.min(...opened.map(({ ids }) => ids.length)), PATIENT).toBeGreaterThan(20);
    expect(started.sandbox.control.counters().channels).toBe(1);
    const [first = [], ...others] = opened.map(({ ids }) => ids);
    for (const ids of others) {
      // Either may have come later than the other, or be behind it; in between both have the same.
      const both = first.filter((id) => ids.includes(id));
      expect(both.length).toBeGreaterThan(5);
      const from = [first, ids].map((all) => all.indexOf(both[0] ?? ''));
      expect(first.slice(from[0], from[0]! + both.length)).toEqual(both);
      expect(ids.slice(from[1], from[1]! + both.length)).toEqual(both);
    }
    for (const reader of opened) expectWhole(reader.trades);
  });

  test('a client goes on at the other process with the id of its last event, and misses nothing', async () => {
    const stays = await readEach();
    const since = stays[0]?.ids.at(-5) ?? '';
    // Connections are handed out in turn: one of the two is served by the process that has not sent that event to it.
    const resumed = await readTrades(2, { since });
    for (const reader of resumed) {
      await expect
        .poll(() => reader.of('status').some(({ resumed: how }) => how === 'complete'), PATIENT)
        .toBe(true);
      await expect.poll(() => reader.trades.length, PATIENT).toBeGreaterThan(10);
      const all = stays[0]?.events.filter(({ event_type }) => event_type === 'trades') ?? [];
      const after = all
        .slice(all.findIndex(({ id }) => id === since) + 1)
        .flatMap(({ trades = [] }) => trades);
      const got = reader.trades.slice(0, after.length);
      expect(got).toEqual(after.slice(0, got.length).map(({ trade_id }) => Number(trade_id)));
    }
  });

  test('any process answers /metrics with the sum, also of one that was killed, and says whose a gauge is', async () => {
    await fromEach(started, CANDLES);
    for (let count = 0; count < 40; count += 1) await get(started.port, CANDLES);
    const counted = async () => started.metric('http_requests_total', 'route="/v1/markets/ohlcv"');
    // A process that is busy may be late with what it has counted.
    await expect.poll(counted, PATIENT).toBeGreaterThanOrEqual(42);
    const total = await counted();
    const scrapes = await fromEach(started, '/metrics');
    for (const { body } of scrapes) {
      expect(body).toContain(
        `crypto_data_http_requests_total{method="GET",route="/v1/markets/ohlcv",status="200"} ${total}`,
      );
      for (const name of ['primary', 'feeder', '1', '2'])
        expect(body).toMatch(new RegExp(`^process_resident_memory_bytes\\{process="${name}"\\} \\d+$`, 'm'));
      expect(body).toMatch(/^crypto_data_upstream_budget_limit\{exchange="binance",process="feeder"\} 100$/m);
      expect(body.match(/^# TYPE crypto_data_http_requests_total/gm)).toHaveLength(1);
    }
    await killed(pidOf('1'));
    await expect.poll(async () => started.metric('process_restarts_total', 'name="1"'), PATIENT).toBe(1);
    await expect.poll(counted, PATIENT).toBe(total);
    await get(started.port, CANDLES);
    await expect.poll(counted, PATIENT).toBe(total + 1);
  });

  test('nobody else may enter the sockets between the processes', () => {
    const [own = ''] = readdirSync(folder).filter((name) => name.startsWith('mcds-'));
    expect(statSync(join(folder, own)).mode & 0o777).toBe(0o700);
    const sockets = readdirSync(join(folder, own));
    expect(sockets.sort()).toEqual(['feeder.sock', 'primary.sock']);
    for (const socket of sockets) expect(statSync(join(folder, own, socket)).mode & 0o777).toBe(0o600);
  });

  test('SIGTERM to the primary answers what is under way, ends every process, leaves no socket and gives 0', async () => {
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
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a death', () => {
  startOnce({ ORDERBOOK_CACHE_TTL: '0.2', RATE_LIMIT_REQUESTS: '1000' });

  /** Requests one after the other until enough of them were made so long after a time; gives those of them that failed. */
  const ask = (path: string) => {
    const made: { readonly at: number; readonly what: string | null }[] = [];
    let stopped = false;
    const running = (async () => {
      while (!stopped) {
        const at = performance.now();
        const what = await get(started.port, path).then(
          ({ status }) => (status === 200 ? null : String(status)),
          (error: unknown) => String(error),
        );
        made.push({ at, what });
        // The processes that start now need the CPU.
        await pause(10);
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
      await fromEach(started, BOOK);
      const pid = pidOf(name);
      const asking = [1, 2, 3].map(() => ask(BOOK));
      await killed(pid);
      const at = performance.now();
      await replaced(name, pid);
      await expect
        .poll(async () => (await get(started.port, '/v1/health/ready')).body, PATIENT)
        .toContain('"binance":{"state":"ok"');
      await fromEach(started, BOOK);
      for (const one of asking) expect(await one.failuresAfter(at)).toEqual([]);
    },
  );

  test('of the process that holds a feed is bridged without a lost trade at the other one', async () => {
    // Whichever of them holds the feed.
    for (const name of ['1', '2']) {
      await readEach();
      const pid = pidOf(name);
      const before = readers.map(({ trades }) => trades.length);
      await killed(pid);
      await expect
        .poll(() => readers.some(({ trades }, index) => trades.length > (before[index] ?? 0) + 20), PATIENT)
        .toBe(true);
      await replaced(name, pid);
    }
    for (const reader of readers) {
      expect(reader.of('lost')).toEqual([]);
      expectWhole(reader.trades);
      expect(new Set(reader.ids).size).toBe(reader.ids.length);
    }
    expect(started.sandbox.control.counters().channels).toBe(1);
  });

  test('of the feeder is told by a status, cached answers go on, and the feed comes back', async () => {
    await fromEach(started, TICKER);
    const opened = await readEach();
    const before = opened.map(({ trades }) => trades.length);
    await killed(pidOf('feeder'));
    expect((await fromEach(started, TICKER)).map(({ status }) => status)).toEqual([200, 200]);
    for (const reader of opened) {
      await expect.poll(() => reader.states, PATIENT).toContain('reconnecting');
      await expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
    }
    await expect
      .poll(() => opened.every(({ trades }, index) => trades.length > (before[index] ?? 0) + 20), PATIENT)
      .toBe(true);
    for (const reader of opened) if (reader.of('lost').length === 0) expectWhole(reader.trades);
  });

  test('of the primary takes the others with it', async () => {
    await expect.poll(() => processesOf(started.process).size, PATIENT).toBe(3);
    const pids = [...processesOf(started.process).values()];
    await killed(started.process.pid ?? 0);
    await expect.poll(() => pids.filter(isAlive), PATIENT).toEqual([]);
  });
});

describe('two processes with a client limit', () => {
  startOnce({ CLIENT_RATE_LIMIT_REQUESTS: '20' });

  test('hold it over both, without Redis', async () => {
    const statuses: (number | undefined)[] = [];
    for (let count = 0; count < 40; count += 1) statuses.push((await get(started.port, TICKER)).status);
    const passed = statuses.filter((status) => status === 200).length;
    // Counts are exchanged within a few milliseconds, ten times as long on a busy machine; counted apart, all 40 would pass.
    expect(passed).toBeGreaterThanOrEqual(20);
    expect(passed).toBeLessThanOrEqual(30);
    expect(statuses.slice(-10).every((status) => status === 429)).toBe(true);
  });

  test('keep their port: another server that wants it ends with 1', async () => {
    await expect(startRig({ ...TWO, PORT: String(started.port) })).rejects.toThrow('The server ended with 1');
  });

  test('end in order by signals to the whole group, as of a terminal', async () => {
    const pids = [...processesOf(started.process).values()];
    expect(pids).toHaveLength(3);
    const exited = once(started.process, 'exit');
    for (const pid of pids) process.kill(pid, 'SIGINT');
    started.process.kill('SIGINT');
    expect((await exited)[0]).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });
});

test('one process is one process', async () => {
  const alone = await startRig({ ...TWO, SERVER_PROCESSES: '1' });
  try {
    expect(processesOf(alone.process).size).toBe(0);
    expect((await get(alone.port, TICKER)).status).toBe(200);
  } finally {
    await alone.close();
  }
});
