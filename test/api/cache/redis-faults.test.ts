/** Whatever happens to Redis: no request fails, the log stays short, and Redis is used again soon after its return. */
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRig, tickerOf, untilRedisIs, type Rig } from '../../support/market-data-rig.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';

/** As the product promises; the rest is for a busy machine. */
const BACK_WITHIN_MS = 2_000;
const BUSY_MACHINE_MS = 18_000;
/** A command's deadline where time is not the subject: a Redis that gets no turn on a busy machine is not at fault. */
const PATIENT_MS = 250;
const SYMBOLS = Array.from({ length: 20 }, (_, i) => `C${i}/USDT`);

let server: RedisServer;
let proxy: TcpProxy;
let rig: Rig;
let ahead: number;
const now = (): number => Date.now() + ahead;

beforeEach(async () => {
  server = await startRedis();
  proxy = await startTcpProxy(server.port);
  ahead = 0;
});
afterEach(async () => {
  await rig.close();
  await proxy.close();
  await server.stop();
});

/** Where a deadline that a busy machine misses would be another trouble than the one of the test. */
const UNHURRIED_MS = 10_000;
const open = async (url: string, commandTimeoutMs?: number): Promise<void> => {
  rig = createRig({ redisUrl: url, now, ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }) });
  await untilRedisIs(rig, 'ok');
};

/** Rounds of requests for all symbols, each finding everything expired. Rejects if one request does. */
const load = async (rounds: number): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    const asked = SYMBOLS.flatMap((symbol) =>
      Array.from({ length: 10 }, () => rig.marketData.get(tickerOf(symbol))),
    );
    for (const { body } of await Promise.all(asked)) expect(body.length).toBeGreaterThan(10);
    ahead += 2_001;
  }
};

const expectBackSoon = async (): Promise<void> => {
  const returnedAt = Date.now();
  await untilRedisIs(rig, 'ok');
  expect(Date.now() - returnedAt).toBeLessThan(BACK_WITHIN_MS + BUSY_MACHINE_MS);
  const hits = rig.cache.stats().shared!.hits;
  // Another server would find what this one writes: the entry comes back from Redis itself.
  await vi.waitFor(async () => {
    await rig.marketData.get(tickerOf('C0/USDT'));
    const other = createRig({ redisUrl: server.url, now });
    await untilRedisIs(other, 'ok');
    const { cache } = await other.marketData.get(tickerOf('C0/USDT'));
    await other.close();
    expect(cache).toBe('HIT');
  }, 60_000);
  expect(rig.cache.stats().shared!.hits).toBeGreaterThanOrEqual(hits);
};

describe('a Redis that', () => {
  it('is killed costs no request and one warning, and is used again after its return', async () => {
    await open(server.url);
    await load(2);
    await server.kill();
    await load(20);
    expect(rig.cache.health().state).toBe('degraded');
    await server.restart();
    await expectBackSoon();
    expect(rig.log.warnings()).toEqual(['Redis does not answer; memory alone serves until it does']);
    expect(rig.log.lines.filter(({ level }) => level === 'info').map(({ message }) => message)).toEqual([
      'Redis answers again',
    ]);
  });

  it('is paused costs a few short waits at most, and is used again when it goes on', async () => {
    await open(server.url);
    await load(2);
    server.pause();
    await load(20);
    expect(rig.cache.health().state).toBe('degraded');
    // Three deadlines in a row, and then no command is sent any more.
    const { failures } = rig.cache.stats().shared!;
    await load(20);
    expect(rig.cache.stats().shared!.failures).toBe(failures);
    server.resume();
    await expectBackSoon();
    expect(rig.log.warnings().length).toBe(1);
  });

  it('is paused so long that its socket is given up is used again all the same', async () => {
    await open(server.url);
    server.pause();
    await load(3);
    await vi.waitFor(
      () => {
        if (rig.cache.health().state === 'ok') throw new Error('paused');
      },
      { timeout: 20_000 },
    );
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    server.resume();
    await expectBackSoon();
    expect(rig.log.warnings().length).toBe(1);
  });

  it('is slow is left alone until it is quick', async () => {
    await open(`redis://127.0.0.1:${proxy.port}`);
    await load(2);
    proxy.delayMs = 300;
    const before = Date.now();
    await load(20);
    // 20 rounds that each waited for the slow replies would take 12 s.
    expect(Date.now() - before).toBeLessThan(10_000);
    proxy.delayMs = 0;
    await expectBackSoon();
    expect(rig.log.warnings().length).toBe(1);
  });

  it('is full keeps serving what it has, refuses writes with one warning, and takes them again later', async () => {
    await open(server.url, UNHURRIED_MS);
    await load(1);
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    await load(20);
    expect(rig.cache.health()).toMatchObject({ state: 'degraded', detail: 'Redis refuses writes.' });
    expect(rig.log.warnings()).toEqual(['Redis refuses writes; it serves what it has']);
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    // A write shows it: the first that Redis gets, which one missed deadline may have kept from it.
    await vi.waitFor(
      async () => {
        ahead += 2_001;
        await load(1);
        expect(rig.cache.health().state).toBe('ok');
      },
      { timeout: 20_000 },
    );
    expect(rig.log.warnings().length).toBe(1);
  });

  it('holds other values than ours makes misses and one warning of them', async () => {
    await open(server.url);
    await load(1);
    const key = (symbol: string): string => `mcds:v1:ticker:binance:${symbol}`;
    const { length } = SYMBOLS;
    const venueCalls = rig.exchanges.fetched.length;
    rig.exchanges.answer = async (request) => {
      await server.command('SET', key(request.symbol), 'nonsense');
      return venueAnswer(request, now());
    };
    // Sound, but the answer to another question.
    for (let i = 2; i < length; i += 3)
      await server.command('COPY', key('C0/USDT'), key(SYMBOLS[i]!), 'REPLACE');
    for (let i = 0; i < length; i++) {
      if (i % 3 === 0) await server.command('SET', key(SYMBOLS[i]!), randomBytes(100).toString('latin1'));
      if (i % 3 === 1) {
        await server.command('DEL', key(SYMBOLS[i]!));
        await server.command('LPUSH', key(SYMBOLS[i]!), 'a', 'list');
      }
    }
    await load(1);
    expect(rig.exchanges.fetched.length).toBe(venueCalls + length);
    expect(rig.cache.stats().shared!.corrupt).toBeGreaterThanOrEqual(Math.floor((2 * length) / 3));
    expect(rig.log.warnings()).toEqual([
      'Redis holds values that this version did not write; they count as misses',
    ]);
  });

  it('answers with garbage costs no request and one warning', async () => {
    await open(`redis://127.0.0.1:${proxy.port}`);
    await load(1);
    proxy.tamper = (chunk) => randomBytes(chunk.length);
    await load(20);
    proxy.tamper = null;
    await expectBackSoon();
    expect(rig.log.warnings().length).toBe(1);
  });

  it.each([
    ['began a reply that never ends', () => Buffer.from('$999999999\r\n')],
    ['left one reply out', () => Buffer.alloc(0)],
    ['said one reply too many', (chunk: Buffer) => Buffer.concat([Buffer.from('$1\r\nx\r\n'), chunk])],
  ])('%s is understood again, though all it says from then on is right', async (_name, once) => {
    await open(`redis://127.0.0.1:${proxy.port}`, PATIENT_MS);
    await load(1);
    proxy.tamper = (chunk) => {
      proxy.tamper = null;
      return once(chunk);
    };
    await load(1);
    await vi.waitFor(
      async () => {
        const { failures, corrupt } = rig.cache.stats().shared!;
        await load(1);
        expect(rig.cache.health().state).toBe('ok');
        expect(rig.cache.stats().shared).toMatchObject({ failures, corrupt });
      },
      { timeout: 20_000 },
    );
    await expectBackSoon();
  });

  it('swallows the handshake is tried anew, and used as soon as it answers', async () => {
    proxy.tamper = () => Buffer.from('$999999999\r\n');
    rig = createRig({ redisUrl: `redis://127.0.0.1:${proxy.port}`, now, commandTimeoutMs: PATIENT_MS });
    await vi.waitFor(() => expect(rig.log.warnings().length).toBe(1), { timeout: 20_000 });
    await load(5);
    proxy.tamper = null;
    await expectBackSoon();
    expect(rig.log.warnings().length).toBe(1);
  });

  it('answers in the right form with the wrong things costs no request', async () => {
    await open(`redis://127.0.0.1:${proxy.port}`);
    await load(1);
    for (const reply of ['+OK\r\n', ':1\r\n', '$-1\r\n', '*0\r\n', '-ERR no\r\n', '$3\r\nabc\r\n']) {
      proxy.tamper = () => Buffer.from(reply);
      await load(3);
    }
    expect(rig.log.warnings().length).toBeLessThanOrEqual(3);
  });

  it('was never there costs one warning, and is used when it comes', async () => {
    const { port } = server;
    await server.kill();
    rig = createRig({ redisUrl: `redis://127.0.0.1:${port}`, now });
    await load(5);
    expect(rig.cache.health().state).toBe('degraded');
    await server.restart();
    await expectBackSoon();
    expect(rig.log.warnings().length).toBe(1);
  });

  it('is something else entirely costs no request', async () => {
    const web = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    const { port } = web.address() as AddressInfo;
    rig = createRig({ redisUrl: `redis://127.0.0.1:${port}`, now });
    await load(5);
    await vi.waitFor(() => expect(rig.log.warnings().length).toBe(1), { timeout: 20_000 });
    web.close();
  });
});

it('after a fail-over the new master is found: the old one refuses writes, and the name leads elsewhere', async () => {
  const successor = await startRedis();
  await open(`redis://127.0.0.1:${proxy.port}/0`, PATIENT_MS);
  await load(1);
  proxy.targetPort = successor.port;
  await server.command('REPLICAOF', '127.0.0.1', String(successor.port));
  await vi.waitFor(
    async () => {
      await load(1);
      const size = await successor.command('DBSIZE');
      expect(Number(size.slice(1))).toBeGreaterThan(0);
    },
    { timeout: BACK_WITHIN_MS + BUSY_MACHINE_MS, interval: 100 },
  );
  await untilRedisIs(rig, 'ok');
  await successor.stop();
});
