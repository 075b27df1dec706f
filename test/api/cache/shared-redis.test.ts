/** Two servers, one Redis: one upstream call for everyone. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import {
  createFakeExchangeClient,
  venueAnswer,
  type FakeExchangeClient,
} from '../../support/fake-exchange-client.js';
import { createRig, tickerOf, untilRedisIs, type Rig } from '../../support/market-data-rig.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';

let server: RedisServer;
let rigs: Rig[];
let venue: FakeExchangeClient;
/** The servers' common clock: real time and what a test adds. */
let ahead: number;
const now = (): number => Date.now() + ahead;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.command('FLUSHALL');
  ahead = 0;
  venue = createFakeExchangeClient(now);
  // The deadline is generous, for what is shown here is not speed and the machine may be busy.
  rigs = [0, 1].map(() =>
    createRig({ redisUrl: server.url, commandTimeoutMs: 5_000, now, exchanges: venue }),
  );
  await Promise.all(rigs.map((rig) => untilRedisIs(rig, 'ok')));
});
afterEach(() => Promise.all(rigs.map((rig) => rig.close())));

const askAll = (count: number, symbol: string) =>
  Promise.all(Array.from({ length: count }, (_, i) => rigs[i % 2]!.marketData.get(tickerOf(symbol))));

const slowVenue = (ms: number): void => {
  venue.answer = (request) =>
    new Promise((resolve) =>
      setTimeout(() => resolve(venueAnswer(request, now(), { members: { n: venue.fetched.length } })), ms),
    );
};

describe('servers that share a Redis', () => {
  it('make one upstream call for 1,000 requests for a cold key, and again at each expiry', async () => {
    slowVenue(30);
    for (let round = 1; round <= 8; round++) {
      const answers = await askAll(1_000, 'BTC/USDT');
      expect(venue.fetched.length).toBe(round);
      expect(new Set(answers.map(({ etag }) => etag)).size).toBe(1);
      expect(answers.every(({ cache }) => cache === 'MISS' || cache === 'HIT')).toBe(true);
      ahead += 2_001;
    }
  });

  it('serve what the other one has fetched, with its own times', async () => {
    const first = await rigs[0]!.marketData.get(tickerOf('ETH/USDT'));
    ahead += 1_000;
    const second = await rigs[1]!.marketData.get(tickerOf('ETH/USDT'));
    expect(venue.fetched.length).toBe(1);
    expect(second).toEqual({ ...first, cache: 'HIT' });
  });

  it('have the expired answer of a server that has gone, while the venue fails', async () => {
    const first = await rigs[0]!.marketData.get(tickerOf('ETH/USDT'));
    ahead += 60_000;
    venue.answer = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
    const second = await rigs[1]!.marketData.get(tickerOf('ETH/USDT'));
    expect(second).toMatchObject({ cache: 'STALE', etag: first.etag, receivedAt: first.receivedAt });
  });

  it('do not wait for a failing load of the other one for ever, and each learn of the failure', async () => {
    venue.answer = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
    const results = await Promise.allSettled([
      rigs[0]!.marketData.get(tickerOf('ETH/USDT')),
      rigs[1]!.marketData.get(tickerOf('ETH/USDT')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(venue.fetched.length).toBe(2);
  });

  it('load all the same where another server died with the claim', async () => {
    await server.command('SET', 'mcds:v1:ticker:binance:SOL/USDT:claim', 'of-a-dead-server', 'PX', '300');
    const answer = await rigs[0]!.marketData.get(tickerOf('SOL/USDT'));
    expect(answer.cache).toBe('MISS');
  });

  it('leave aside claims whose value never comes, rather than wait at each request', async () => {
    for (const symbol of ['A/USDT', 'B/USDT'])
      await server.command('SET', `mcds:v1:ticker:binance:${symbol}:claim`, 'stuck');
    const rig = createRig({
      redisUrl: server.url,
      commandTimeoutMs: 5_000,
      now,
      exchanges: venue,
      requestTimeoutMs: 4_000,
    });
    await untilRedisIs(rig, 'ok');
    expect((await rig.marketData.get(tickerOf('A/USDT'))).cache).toBe('MISS');
    const before = Date.now();
    expect((await rig.marketData.get(tickerOf('B/USDT'))).cache).toBe('MISS');
    expect(Date.now() - before).toBeLessThan(3_500);
    await rig.close();
  });

  it('release only their own claim', async () => {
    const key = 'mcds:v1:ticker:binance:XRP/USDT:claim';
    venue.answer = async (request) => {
      // The claim expires and another server takes it while the venue is slow.
      await server.command('SET', key, 'of-another-server');
      return venueAnswer(request, now());
    };
    await rigs[0]!.marketData.get(tickerOf('XRP/USDT'));
    await rigs[0]!.cache.get('fence');
    expect(await server.command('GET', key)).toContain('of-another-server');
  });

  it('keep simulated answers apart from real ones', async () => {
    const simulated = createRig({ redisUrl: server.url, commandTimeoutMs: 5_000, now, sandbox: true });
    await untilRedisIs(simulated, 'ok');
    expect((await simulated.marketData.get(tickerOf('BTC/USDT'))).source).toBe('sandbox; via=rest');
    const real = await rigs[0]!.marketData.get(tickerOf('BTC/USDT'));
    expect(real).toMatchObject({ cache: 'MISS', source: 'binance; via=rest' });
    await simulated.close();
  });
});
