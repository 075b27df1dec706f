// A worker dies, hangs, outgrows its memory: clients who poll what is cached and clients who stream hardly notice.
// Over the built server in a process of its own, with its real threads.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startPaceMeter, type PaceMeter } from './pace-meter.js';

const POLLERS = 180;
const POLL_MS = 500;
const STREAMS = 20;
/** On a machine that gives its programs the time they need; where it does not, as much longer as everything takes. */
const BACK_WITHIN_MS = 3000;
/** So much slower is work beside this test's own clients, venues and threads at the least. */
const OWN_SLOWNESS = 1.5;

interface Message {
  readonly url?: string;
  readonly log?: string;
  readonly details?: { readonly reason?: string; readonly count?: number };
  readonly stats?: readonly {
    readonly restarts: number;
    readonly state: string;
    readonly report: { readonly unhandledRejections: number } | null;
  }[];
}

let sandbox: Sandbox;
let pace: PaceMeter;
let server: ChildProcess;
let url = '';
const messages: Message[] = [];
const agent = new Agent({ connections: POLLERS + 20 });

/** Waits for an event of the server rather than for time. */
const messageWith = async (wanted: (message: Message) => boolean, from = 0): Promise<Message> => {
  for (;;) {
    const found = messages.slice(from).find(wanted);
    if (found !== undefined) return found;
    await once(server, 'message');
  }
};

const get = async (path: string) => {
  const started = performance.now();
  const answer = await request(`${url}${path}`, { dispatcher: agent });
  const body = await answer.body.text();
  return {
    status: answer.statusCode,
    cache: answer.headers['x-cache'],
    body,
    ms: performance.now() - started,
  };
};

beforeAll(async () => {
  pace = await startPaceMeter();
  sandbox = await startSandbox({ ticksPerSecond: 5, weightLimit: Infinity });
  server = fork(new URL('./workers-server.js', import.meta.url), {
    env: {
      ...process.env,
      SANDBOX: sandbox.url,
      EXCHANGE_WORKERS: '2',
      ENABLED_EXCHANGES: 'binance,kraken',
      EXCHANGE_OPTIONS: '{"kraken":{"rateLimit":20}}',
      REDIS_ENABLED: 'false',
      RATE_LIMIT_REQUESTS: '10000',
    },
  });
  server.on('message', (message: Message) => messages.push(message));
  url = (await messageWith((message) => message.url !== undefined)).url ?? '';
});
afterAll(async () => {
  await pace.stop();
  await agent.destroy();
  if (server.exitCode === null) {
    const exited = once(server, 'exit');
    server.kill('SIGTERM');
    await exited;
  }
  await sandbox.close();
});

const KRAKEN = '/v1/markets/ticker?exchange=kraken&symbol=BTC/USD';
const CACHED = '/v1/markets/orderbook?exchange=binance&symbol=BTC/USDT&limit=5';

/** Polls until told to stop; tells of every answer. */
const poll = (path: string) => {
  const answers: { status: number; ms: number }[] = [];
  const failures = new Map<string, number>();
  const fail = (how: string): void => void failures.set(how, (failures.get(how) ?? 0) + 1);
  let going = true;
  const loops = Array.from({ length: POLLERS }, async (_, place) => {
    await new Promise((resolve) => setTimeout(resolve, (place * POLL_MS) / POLLERS));
    while (going) {
      const started = performance.now();
      try {
        const { status, ms, body } = await get(path);
        answers.push({ status, ms });
        if (status !== 200) fail(`${status} ${/"code":"\w+"/.exec(body)?.[0] ?? ''}`);
      } catch (error) {
        fail(String(error));
      }
      const left = POLL_MS - (performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
    }
  });
  return {
    answers,
    /** How often, by what came instead of an answer. */
    failures,
    stop: async () => {
      going = false;
      await Promise.all(loops);
    },
  };
};

const openStreams = async () => {
  const events: { event_type: string; state?: string; at: number }[] = [];
  const sockets = await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const socket = new WebSocket(
        `${url.replace('http', 'ws')}/ws/ticker?exchange=binance&symbol=BTC/USDT&threshold=0`,
      );
      socket.on('message', (data: Buffer) =>
        events.push({ ...JSON.parse(data.toString('utf8')), at: performance.now() }),
      );
      await once(socket, 'open');
      return socket;
    }),
  );
  return { events, sockets, close: () => sockets.forEach((socket) => socket.terminate()) };
};

const until = async (happened: () => boolean): Promise<void> => {
  while (!happened()) await new Promise((resolve) => setTimeout(resolve, 10));
};

const ms = (time: number): string => `${time.toFixed(0)} ms`;

let fresh = 100;
/** The time until the venue answers something that nobody has cached. */
const timeUntilBack = async (from: number): Promise<number> => {
  for (;;) {
    const { status } = await get(`/v1/markets/trades?exchange=binance&symbol=BTC/USDT&limit=${(fresh += 1)}`);
    if (status === 200) return performance.now() - from;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

describe('a worker that misbehaves', () => {
  it.each([
    ['die', 'dies', /exit code|exit/],
    ['hang', 'hangs in a loop', /hangs/],
    ['grow', 'outgrows its memory', /memory|limit|hangs/],
    ['explode', 'runs into V8’s own limit', /memory|limit|hangs/i],
  ])('%s: no cached request fails, streams resume, the venue is back in time', async (fault, how, reason) => {
    expect((await get(CACHED)).status).toBe(200);
    const streams = await openStreams();
    // The first ticker may be REST's: the feed that is to be cut must be there first.
    await until(
      () => streams.events.filter(({ event_type }) => event_type === 'ticker').length > STREAMS * 3,
    );
    const polling = poll(CACHED);
    const logged = messages.length;

    const measured = pace.begin();
    const started = performance.now();
    server.send({ fault, exchange: 'binance' });
    const death = await messageWith(({ log }) => log === 'a worker is replaced', logged);
    const noticed = performance.now() - started;
    const back = await timeUntilBack(started);
    const slowness = await measured.end();
    expect(death.details?.reason).toMatch(reason);

    const seen = streams.events.length;
    await until(
      () => streams.events.slice(seen).filter(({ event_type }) => event_type === 'ticker').length > STREAMS,
    );
    const resumed = performance.now() - started;
    await polling.stop();
    const { answers } = polling;
    const states = streams.events.filter(({ event_type, at }) => event_type === 'status' && at > started);
    // Memory takes its time to grow; from there on it is a worker like any other.
    const grown = fault === 'grow' || fault === 'explode' ? noticed : 0;
    const allowed = BACK_WITHIN_MS * Math.max(1, slowness / OWN_SLOWNESS);
    console.info(
      `a worker that ${how}: noticed after ${ms(noticed)}, venue back after ${ms(back - grown)}` +
        `${grown > 0 ? ' from there' : ''} (allowed ${ms(allowed)}), streams after ${ms(resumed)}; ` +
        `${answers.length} cached requests, ${[...polling.failures.values()].reduce((sum, count) => sum + count, 0)} failed, ` +
        `slowest ${ms(Math.max(...answers.map((answer) => answer.ms)))}; ` +
        `${states.length} status events to ${STREAMS} streams`,
    );
    expect([...polling.failures]).toEqual([]);
    expect(answers.length).toBeGreaterThan(POLLERS);
    expect(states.map(({ state }) => state)).toContain('reconnecting');
    expect(states.at(-1)?.state).toBe('live');
    expect(streams.sockets.every(({ readyState }) => readyState === WebSocket.OPEN)).toBe(true);
    expect(server.exitCode).toBeNull();
    expect(back - grown).toBeLessThan(allowed);
    streams.close();
  });

  it('counts a rejection that nobody awaits, and goes on', async () => {
    expect((await get(KRAKEN)).status).toBe(200);
    const logged = messages.length;
    server.send({ fault: 'reject', exchange: 'kraken' });
    expect(await messageWith(({ log }) => log === 'unhandled rejection in a worker', logged)).toMatchObject({
      details: { count: 1 },
    });
    expect((await get(KRAKEN)).status).toBe(200);
    expect(server.exitCode).toBeNull();
  });

  it('costs the other exchanges nothing: their worker was never replaced', async () => {
    const from = messages.length;
    server.send({});
    const { stats } = await messageWith((message) => message.stats !== undefined, from);
    expect(stats?.map(({ restarts }) => restarts)).toEqual([4, 0]);
  });

  it('dies with its venue cooling down: its successor asks nothing either', async () => {
    sandbox.control.setFault({
      venue: 'kraken',
      match: 'trades',
      fault: { type: 'status', status: 429, retryAfter: 600 },
    });
    const trades = '/v1/markets/trades?exchange=kraken&symbol=BTC/USD&limit=';
    expect((await get(`${trades}1`)).status).toBe(429);
    sandbox.control.clearFaults();
    const asked = () => sandbox.control.requestLog().filter(({ venue }) => venue === 'kraken').length;
    const before = asked();
    const logged = messages.length;
    server.send({ fault: 'die', exchange: 'kraken' });
    await messageWith(({ log }) => log === 'a worker is replaced', logged);
    const refused = await get(`${trades}2`);
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'upstream_rate_limited' });
    expect(asked()).toBe(before);
  });
});
