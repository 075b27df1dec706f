/** A failing Redis as clients of the built server see it. */
import { randomBytes } from 'node:crypto';
import { afterEach, expect, test, vi } from 'vitest';
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

const tickerUrl = (rig: Rig, symbol: string): string =>
  `${rig.url}/v1/markets/ticker?exchange=binance&symbol=${symbol}`;

const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'XRP/USDT', 'ADA/USDT'];
const CLIENTS = 10;
const RUN_MS = extent({ short: 500, long: 2_500 });
/** As the product promises. */
const SLOWER_AT_MOST = 3;
const BACK_WITHIN_MS = 2_000;
/** What a busy machine may add to the slowest of a hundred, and to a probe's turn. */
const NOISE_MS = 100;
const BUSY_MS = 18_000;

interface Run {
  readonly failed: number;
  readonly p99: number;
}
/** CLIENTS ask in turn, each as soon as it was answered, for RUN_MS and until `settled` is. */
const load = async (rig: Rig, settled: Promise<unknown> = Promise.resolve()): Promise<Run> => {
  const times: number[] = [];
  let failed = 0;
  const until = performance.now() + RUN_MS;
  const state = { settled: false };
  const settle = (): void => void (state.settled = true);
  settled.then(settle, settle);
  const client = async (first: number): Promise<void> => {
    for (let i = first; performance.now() < until || !state.settled; i++) {
      const asked = performance.now();
      const response = await fetch(tickerUrl(rig, SYMBOLS[i % SYMBOLS.length]!)).catch(() => undefined);
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
    vi.waitFor(async () => expect(await cacheState()).toBe(state), { timeout: 60_000, interval: 20 });
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

test.each(troubles)(
  'a Redis in trouble under load that is %s fails no request, slows none much, and is told of once',
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
    // That Redis takes writes again shows in a write, for which somebody has to ask.
    const isBack = untilRedisIs('ok').then(() => performance.now() - ended);
    const [backMs, calmAgain] = await Promise.all([isBack, load(rig, isBack)]);
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
