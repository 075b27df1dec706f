/** The cache as clients of the built server see it: a failing venue, a failing Redis, two servers with one Redis. */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { buildApp } from '../../src/app/app.js';
import { loadConfig } from '../../src/config/config.js';
import { startSandbox } from '../../src/sandbox/sandbox.js';
import { createRedisCache } from '../../src/cache/redis-cache.js';
import { silentLog } from '../../src/log/log.js';
import { extent } from '../support/extent.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { startRig, type Rig } from './streams-rig.js';

const closers: (() => Promise<unknown>)[] = [];
const owned = <T extends object>(thing: T, close: (thing: T) => Promise<unknown>): T => {
  closers.push(() => close(thing));
  return thing;
};
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const tickerUrl = (rig: { url: string }, symbol = 'BTC/USDT'): string =>
  `${rig.url}/v1/markets/ticker?exchange=binance&symbol=${symbol}`;

describe('while the venue fails', () => {
  const STALE_IF_ERROR_S = 6;
  /** A caller who waited for retries would wait through back-offs of this order. */
  const BACKOFF_S = 20;
  /** One attempt, on a busy machine. */
  const ONE_ATTEMPT_MS = 3_000;

  const open = async (): Promise<Rig> =>
    owned(
      await startRig({
        CMC_API_KEY: 'any',
        TICKER_CACHE_TTL: '1',
        STALE_IF_ERROR: String(STALE_IF_ERROR_S),
        INITIAL_BACKOFF: String(BACKOFF_S),
        REQUEST_TIMEOUT: '25',
      }),
      (rig) => rig.close(),
    );

  interface Seen {
    readonly status: number;
    readonly cache: string | null;
    readonly body: {
      exchange?: string;
      code?: string;
      retryable?: boolean;
      last?: number;
      bid?: number | null;
    };
    readonly headers: Headers;
    readonly ms: number;
  }
  const ask = async (rig: Rig): Promise<Seen> => {
    const asked = performance.now();
    const response = await fetch(tickerUrl(rig));
    const body = (await response.json()) as Seen['body'];
    const { status, headers } = response;
    return { status, body, headers, cache: headers.get('x-cache'), ms: performance.now() - asked };
  };

  it('old answers are served, marked and with their true age, then CoinMarketCap’s, then one clear error', async () => {
    const rig = await open();
    const { control } = rig.sandbox;
    const first = await ask(rig);
    const receivedAt = Date.now();
    expect(first).toMatchObject({ status: 200, cache: 'MISS', body: { exchange: 'binance' } });

    control.setFault({ venue: 'binance', fault: { type: 'status', status: 500 } });
    await vi.waitFor(async () => expect((await ask(rig)).cache).toBe('STALE'), {
      timeout: 10_000,
      interval: 50,
    });
    const ageBefore = (Date.now() - receivedAt) / 1000;
    const stale = await Promise.all(Array.from({ length: 100 }, () => ask(rig)));
    const ageAfter = (Date.now() - receivedAt) / 1000;
    for (const { status, cache, body, headers, ms } of stale) {
      expect({ status, cache, last: body.last }).toEqual({
        status: 200,
        cache: 'STALE',
        last: first.body.last,
      });
      expect(headers.get('cache-control')).toContain('max-age=0');
      const age = Number(headers.get('age'));
      expect(age).toBeGreaterThanOrEqual(Math.floor(ageBefore));
      // The request for the first answer took some time itself.
      expect(age).toBeLessThanOrEqual(ageAfter + first.ms / 1000);
      expect(ms).toBeLessThan(ONE_ATTEMPT_MS);
    }

    const quote = await vi.waitFor(
      async () => {
        const seen = await ask(rig);
        expect(seen.body.exchange).toBe('coinmarketcap');
        return seen;
      },
      { timeout: 60_000, interval: 200 },
    );
    expect((Date.now() - receivedAt) / 1000).toBeGreaterThanOrEqual(STALE_IF_ERROR_S - first.ms / 1000);
    expect(quote).toMatchObject({ status: 200, body: { bid: null, ask: null, symbol: 'BTC/USDT' } });
    expect(quote.headers.get('data-source')).toBe('sandbox; via=coinmarketcap');

    control.setFault({ venue: 'coinmarketcap', fault: { type: 'status', status: 500 } });
    const refusal = await vi.waitFor(
      async () => {
        const seen = await ask(rig);
        expect(seen.status).toBe(503);
        return seen;
      },
      { timeout: 60_000, interval: 200 },
    );
    expect(refusal.body).toMatchObject({ code: 'upstream_unavailable', retryable: true });
    expect(Number(refusal.headers.get('retry-after'))).toBeGreaterThan(0);

    control.clearFaults();
    await vi.waitFor(async () => expect((await ask(rig)).body.exchange).toBe('binance'), {
      timeout: 90_000,
      interval: 500,
    });
  });
});

describe('two servers with one Redis', () => {
  /** In this process, so that Redis can be given more time than a server would on a busy machine. */
  const open = async (redisUrl: string, sandboxUrl: string, now: () => number): Promise<FastifyInstance> => {
    const config = loadConfig({
      SANDBOX: sandboxUrl,
      EXCHANGE_WORKERS: '0',
      ENABLED_EXCHANGES: 'binance',
      RATE_LIMIT_REQUESTS: '10000',
    });
    const redis = createRedisCache({ url: redisUrl, log: silentLog, now, commandTimeoutMs: 10_000 });
    await vi.waitFor(() => expect(redis.health().state).toBe('ok'), { timeout: 10_000 });
    // Two servers, their clients and the venue share one thread here: its lag says nothing.
    const loadGauge = { overloaded: () => false, lagMs: () => 0, close: () => undefined };
    return owned(await buildApp(config, { log: silentLog, redis, now, loadGauge }), (app) => app.close());
  };

  it('make one upstream call for 1,000 requests for a cold key, and again at each expiry', async () => {
    let ahead = 0;
    const now = (): number => Date.now() + ahead;
    const sandbox = owned(await startSandbox({ ticksPerSecond: 0, latencyMs: 50 }), (it) => it.close());
    const redis = owned(await startRedis(), (it) => it.stop());
    const apps = [await open(redis.url, sandbox.url, now), await open(redis.url, sandbox.url, now)];
    const ask = (i: number, symbol: string) =>
      apps[i % 2]!.inject({ url: '/v1/markets/ticker', query: { exchange: 'binance', symbol } });
    // Markets are loaded before anything is counted.
    for (const i of [0, 1]) expect((await ask(i, 'ETH/USDT')).statusCode).toBe(200);
    for (let round = 0; round < 5; round++) {
      sandbox.control.resetLog();
      const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask(i, 'BTC/USDT')));
      expect(answers.every(({ statusCode }) => statusCode === 200)).toBe(true);
      expect(new Set(answers.map(({ headers }) => headers.etag)).size).toBe(1);
      expect(sandbox.control.requestLog().filter(({ kind }) => kind === 'ticker').length).toBe(1);
      ahead += 2_001;
    }
  });
});

describe('a Redis in trouble under load', () => {
  const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'XRP/USDT', 'ADA/USDT'];
  const CLIENTS = 10;
  const RUN_MS = extent({ short: 800, long: 2_500 });
  /** As the product promises. */
  const SLOWER_AT_MOST = 3;
  const BACK_WITHIN_MS = 2_000;
  /** What a busy machine may add to the slowest of a hundred, and to a probe's turn. */
  const NOISE_MS = 100;
  const BUSY_MS = 1_000;

  interface Run {
    readonly failed: number;
    readonly p99: number;
  }
  /** CLIENTS ask in turn, each as soon as it was answered, for RUN_MS. */
  const load = async (rig: Rig): Promise<Run> => {
    const times: number[] = [];
    let failed = 0;
    const until = performance.now() + RUN_MS;
    const client = async (first: number): Promise<void> => {
      for (let i = first; performance.now() < until; i++) {
        const asked = performance.now();
        const response = await fetch(tickerUrl(rig, SYMBOLS[i % SYMBOLS.length])).catch(() => undefined);
        await response?.arrayBuffer();
        if (response?.status !== 200) failed += 1;
        times.push(performance.now() - asked);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
    times.sort((a, b) => a - b);
    return { failed, p99: times[Math.floor(times.length * 0.99)] ?? NaN };
  };

  const open = async (redisUrl: string) => {
    const rig = owned(
      await startRig({
        REDIS_ENABLED: 'true',
        REDIS_URL: redisUrl,
        TICKER_CACHE_TTL: '0.2',
        RATE_LIMIT_REQUESTS: '100000',
        ACCESS_LOG: 'errors',
      }),
      (it) => it.close(),
    );
    const warnings: string[] = [];
    rig.process.stdout!.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().split('\n'))
        if (line.includes('"level":"warn"')) warnings.push(/"msg":"([^"]*)"/.exec(line)?.[1] ?? line);
    });
    const cacheState = async (): Promise<string> => {
      const ready = (await (await fetch(`${rig.url}/v1/health/ready`)).json()) as {
        checks: { cache: { state: string } };
      };
      return ready.checks.cache.state;
    };
    const untilRedisIs = (state: string): Promise<void> =>
      vi.waitFor(async () => expect(await cacheState()).toBe(state), { timeout: 10_000, interval: 20 });
    await untilRedisIs('ok');
    return { rig, warnings, untilRedisIs };
  };

  const troubles: [
    string,
    (redis: RedisServer, proxy: Awaited<ReturnType<typeof startTcpProxy>>) => Trouble,
  ][] = [
    ['killed', (redis) => ({ begin: () => redis.kill(), end: () => redis.restart() })],
    ['paused', (redis) => ({ begin: () => redis.pause(), end: () => redis.resume() })],
    ['slow', (_redis, proxy) => ({ begin: () => (proxy.delayMs = 400), end: () => (proxy.delayMs = 0) })],
    [
      'full',
      (redis) => ({
        begin: () => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
        end: () => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
      }),
    ],
    [
      'talking nonsense',
      (_redis, proxy) => ({
        begin: () => (proxy.tamper = (chunk) => randomBytes(chunk.length)),
        end: () => (proxy.tamper = null),
      }),
    ],
  ];
  interface Trouble {
    begin(): unknown;
    end(): unknown;
  }

  it.each(troubles)(
    'that is %s fails no request, slows none much, and is told of once',
    async (name, make) => {
      const told = name === 'full' ? 'Redis refuses writes' : 'Redis does not answer';
      const redis = owned(await startRedis(), (it) => it.stop());
      const proxy = owned(await startTcpProxy(redis.port), (it) => it.close());
      const { rig, warnings, untilRedisIs } = await open(`redis://127.0.0.1:${proxy.port}`);
      const trouble = make(redis, proxy);
      await load(rig);
      const calm = await load(rig);
      await trouble.begin();
      const troubled = await load(rig);
      await untilRedisIs('degraded');
      await trouble.end();
      const ended = performance.now();
      const after = load(rig);
      await untilRedisIs('ok');
      const backMs = performance.now() - ended;
      const calmAgain = await after;
      const undisturbed = Math.max(calm.p99, calmAgain.p99);
      console.info(
        `Redis ${name}: p99 ${troubled.p99.toFixed(1)} ms, undisturbed ${undisturbed.toFixed(1)} ms; ` +
          `in use again after ${backMs.toFixed(0)} ms`,
      );
      expect([calm.failed, troubled.failed, calmAgain.failed]).toEqual([0, 0, 0]);
      expect(backMs).toBeLessThan(BACK_WITHIN_MS + BUSY_MS);
      expect(troubled.p99).toBeLessThan(SLOWER_AT_MOST * undisturbed + NOISE_MS);
      expect(warnings.join('\n')).toContain(told);
      // Where the machine is so busy that Redis missed its deadlines by itself, that is told once as well.
      expect(new Set(warnings).size, warnings.join('\n')).toBe(warnings.length);
    },
  );
});
