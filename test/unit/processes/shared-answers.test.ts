/** One call to a venue for several processes. */
import { expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { ExchangeClient, MarketAnswer, MarketRequest } from '../../../src/exchanges/exchange-client.js';
import { withSharedAnswers } from '../../../src/processes/shared-answers.js';

const TTL = {
  tickerMs: 2_000,
  orderbookMs: 1_000,
  tradesMs: 1_000,
  ohlcvMs: 60_000,
  staleIfErrorMs: 300_000,
};
const REQUEST: MarketRequest = { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' };
const OPTIONS = { deadline: 10_000, priority: 'caller' } as const;

const start = () => {
  let at = 1_000;
  const waiting: {
    answer: (value: MarketAnswer) => void;
    fail: (error: Error) => void;
    signal: AbortSignal | undefined;
    deadline: number;
  }[] = [];
  const nothing = (): never => {
    throw new Error('not asked');
  };
  const venue: ExchangeClient = {
    fetch: (_request, { signal, deadline }) =>
      new Promise((answer, fail) => waiting.push({ answer, fail, signal, deadline })),
    ...{
      describe: nothing,
      markets: nothing,
      watch: nothing,
      health: () => [],
      close: () => Promise.resolve(),
    },
  };
  const client = withSharedAnswers(venue, { ttl: TTL, now: () => at });
  const answer = (): MarketAnswer => ({
    ...{ body: Buffer.from(`{"at":${at}}`), symbol: 'BTC/USDT', receivedAt: at, closesAt: null },
  });
  return { client, waiting, answer, after: (ms: number) => (at += ms) };
};

test('those who ask meanwhile, and those who ask while the answer is fresh, share one call', async () => {
  const { client, waiting, answer, after } = start();
  const both = [client.fetch(REQUEST, OPTIONS), client.fetch(REQUEST, OPTIONS)];
  await expect.poll(() => waiting.length).toBe(1);
  const given = answer();
  waiting[0]?.answer(given);
  expect(await Promise.all(both)).toEqual([given, given]);
  after(1_999);
  expect(await client.fetch(REQUEST, OPTIONS)).toBe(given);
  after(1);
  void client.fetch(REQUEST, OPTIONS);
  await expect.poll(() => waiting.length).toBe(2);
});

test('a call that failed at the deadline of who asked first is made again for those who have more time', async () => {
  const { client, waiting, answer } = start();
  const codeOf = (thrown: unknown): string => AppError.from(thrown).code;
  const first = client.fetch(REQUEST, OPTIONS).catch(codeOf);
  const same = client.fetch(REQUEST, OPTIONS).catch(codeOf);
  const later = client.fetch(REQUEST, { ...OPTIONS, deadline: OPTIONS.deadline + 1 });
  await expect.poll(() => waiting.length).toBe(1);
  waiting[0]?.fail(new AppError('upstream_timeout', 'The exchange did not answer in time.'));
  expect([await first, await same]).toEqual(['upstream_timeout', 'upstream_timeout']);
  await expect.poll(() => waiting.length).toBe(2);
  expect(waiting[1]?.deadline).toBe(OPTIONS.deadline + 1);
  const given = answer();
  waiting[1]?.answer(given);
  expect(await later).toBe(given);
});

test('a feed that is polled gets what is new, and other questions their own answers', async () => {
  const { client, waiting, answer } = start();
  const first = client.fetch(REQUEST, OPTIONS);
  await expect.poll(() => waiting.length).toBe(1);
  waiting[0]?.answer(answer());
  await first;
  void client.fetch(REQUEST, { ...OPTIONS, priority: 'poll' });
  void client.fetch({ ...REQUEST, symbol: 'ETH/USDT' }, OPTIONS);
  await expect.poll(() => waiting.length).toBe(3);
});

test('a call is given up once all who asked have left', async () => {
  const { client, waiting } = start();
  const leaving = [new AbortController(), new AbortController()];
  const calls = leaving.map(({ signal }) => client.fetch(REQUEST, { ...OPTIONS, signal }));
  await expect.poll(() => waiting.length).toBe(1);
  leaving[0]?.abort(new Error('left'));
  await expect(calls[0]).rejects.toThrow('left');
  expect(waiting[0]?.signal?.aborted).toBe(false);
  leaving[1]?.abort(new Error('left'));
  await expect(calls[1]).rejects.toThrow('left');
  expect(waiting[0]?.signal?.aborted).toBe(true);
});
