/** Markets in which nothing happens for long: no feed of theirs may be called dead, however many there are. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { type FakeClient, START, candle, tickerBody, tickerItem, trade } from './fakes.js';
import { ANSWERS, BOOK, POLLS_PER_WINDOW, SPACING_MS, limitPolls, subscribe } from './quiet-rig.js';
import { IDLE_MS, hub, startHub, time, venue } from './rig.js';

const TEN_MINUTES = 600_000;

beforeEach(() => {
  startHub({ checkSpacingMs: SPACING_MS });
});

describe('ten minutes without any trade', () => {
  it.each([
    { channel: 'trades', speaks: false },
    { channel: 'ohlcv', speaks: false },
    { channel: 'ticker', speaks: true },
    { channel: 'orderbook', speaks: true },
    { channel: 'ohlcv', speaks: true },
  ] as const)(
    'cost 200 $channel feeds no state and no reconnect (first message: $speaks)',
    async ({ channel, speaks }) => {
      const { asked } = limitPolls(({ kind }) => ANSWERS[kind]);
      const clients: FakeClient[] = [];
      for (let n = 0; n < 200; n += 1) {
        clients.push(await subscribe(channel, `C${n}/USDT`));
        venue.subscribed(`socket ${n % 4}`);
        if (!speaks) continue;
        if (channel === 'ticker') venue.tick(100, START - 500);
        else if (channel === 'orderbook') venue.say({ channel, ...BOOK });
        else venue.say({ channel, candles: [candle(START, 1)] });
      }
      await time.advance(1_000);
      for (const client of clients) expect(client.states.at(-1)).toBe('live');
      const before = asked.length;
      const told = clients.map(({ events }) => events.length);
      await time.advance(TEN_MINUTES);
      expect(clients.map(({ events }) => events.length)).toEqual(told);
      expect(hub.stats().reconnects).toBe(0);
      for (const client of clients) expect(client.ofType('lost')).toEqual([]);
      // The looks keep within their share: most of the polls' budget is left to others.
      expect(asked.length - before).toBeLessThanOrEqual(TEN_MINUTES / SPACING_MS + POLLS_PER_WINDOW * 4);
    },
  );

  it('leave tickers that never said anything polled at first, and live once REST has shown nothing for long', async () => {
    limitPolls(({ kind }) => ANSWERS[kind]);
    const client = await subscribe('ticker', 'BTC/USDT');
    venue.subscribed();
    await time.advance(IDLE_MS);
    expect(client.states.slice(-2)).toEqual(['polling', 'live']);
    expect(client.ofType('status').at(-1)?.['detail']).toBe('Quiet market: the venue has nothing newer.');
    await time.advance(TEN_MINUTES);
    expect(client.states.at(-1)).toBe('live');
    expect(hub.stats().reconnects).toBe(0);
  });
});

describe('a silent feed', () => {
  const refusal = (
    code: 'upstream_budget_exhausted' | 'upstream_rate_limited' | 'overloaded' | 'shutting_down',
  ) => new AppError(code, 'Not now.', { retryAfterMs: 2_000 });

  it.each(['upstream_budget_exhausted', 'overloaded', 'shutting_down'] as const)(
    'is not doubted because REST may not be asked (%s)',
    async (code) => {
      const client = await subscribe('ticker', 'BTC/USDT');
      venue.tick(100, START);
      venue.answer = refusal(code);
      await time.advance(TEN_MINUTES);
      expect(client.states.at(-1)).toBe('live');
      expect(client.states).not.toContain('stale');
      expect(hub.stats().reconnects).toBe(0);
      expect(venue.requests.length).toBeGreaterThan(5);
    },
  );

  it('is stale, and not opened anew, for as long as the venue limits requests over REST', async () => {
    const client = await subscribe('ticker', 'BTC/USDT');
    venue.tick(100, START);
    venue.answer = refusal('upstream_rate_limited');
    await time.advance(TEN_MINUTES);
    expect(client.states.at(-1)).toBe('stale');
    expect(hub.stats().reconnects).toBe(0);
    venue.tick(101);
    expect(client.states.at(-1)).toBe('live');
  });

  it('is not doubted while its connection speaks for others, although the venue cannot be asked', async () => {
    const quiet = await subscribe('ticker', 'QUIET/USDT');
    venue.tick(100, START);
    venue.subscribed('one');
    await subscribe('ticker', 'BUSY/USDT');
    venue.subscribed('one');
    venue.answer = new AppError('upstream_unavailable', 'binance can not be reached.');
    for (let second = 0; second < 300; second += 1) {
      venue.tick(100 + second, time.now());
      await time.advance(1_000);
    }
    expect(quiet.states.at(-1)).toBe('live');
    expect(quiet.states).not.toContain('stale');
    expect(hub.stats().reconnects).toBe(0);
  });

  it('is stale while only another connection speaks and the venue cannot be asked', async () => {
    const quiet = await subscribe('ticker', 'QUIET/USDT');
    venue.tick(100, START);
    venue.subscribed('one');
    await subscribe('ticker', 'BUSY/USDT');
    venue.subscribed('two');
    venue.answer = new AppError('upstream_unavailable', 'binance can not be reached.');
    for (let second = 0; second < 35; second += 1) {
      venue.tick(100 + second, time.now());
      await time.advance(1_000);
    }
    expect(quiet.states.at(-1)).toBe('stale');
  });

  it('is found dead in its turn although its connection speaks for others', async () => {
    const dead = await subscribe('ticker', 'DEAD/USDT');
    venue.tick(100, START);
    venue.subscribed('one');
    await subscribe('ticker', 'BUSY/USDT');
    venue.subscribed('one');
    venue.answer = tickerBody(150, START + 1);
    for (let second = 0; second < 35; second += 1) {
      venue.tick(150, time.now());
      await time.advance(1_000);
    }
    expect(dead.ofType('status').map(({ detail }) => detail)).toContain(
      'The feed is silent although the market moves.',
    );
    expect(dead.prices.at(-1)).toBe(150);
  });

  it('is polled, and not stale, while this server refuses most of its polls', async () => {
    venue.watchable = [];
    const client = await subscribe('ticker', 'BTC/USDT');
    venue.answer = refusal('upstream_budget_exhausted');
    await time.advance(TEN_MINUTES);
    expect(client.states).toEqual(['polling']);
  });

  it('is asked about in one attempt a check, which is repeated by its own back-off', async () => {
    await subscribe('ticker', 'BTC/USDT');
    venue.tick(100, START);
    venue.answer = new AppError('upstream_unavailable', 'binance can not be reached.');
    await time.advance(IDLE_MS);
    expect(venue.requests.map(({ options }) => [options.attempts, options.priority])).toEqual([[1, 'poll']]);
  });
});

describe('a ticker feed that never says anything', () => {
  it('is opened anew as soon as a poll shows what it should have brought', async () => {
    const client = await subscribe('ticker', 'BTC/USDT');
    venue.subscribed();
    venue.answer = ANSWERS.ticker;
    await time.advance(15_000);
    expect(venue.watches).toHaveLength(1);
    venue.answer = tickerBody(101, START + 15_000);
    await time.advance(3_000);
    expect(venue.watches[0]?.closed).toBe(true);
    expect(client.states.at(-1)).toBe('polling');
  });
});

describe('a feed of trades that is subscribed and has nothing to say', () => {
  it('is live a second later and is never called down', async () => {
    const client = await subscribe('trades', 'BTC/USDT');
    venue.subscribed();
    venue.answer = ANSWERS.trades;
    await time.advance(TEN_MINUTES);
    expect(client.states.at(-1)).toBe('live');
    expect(client.ofType('status').map(({ detail }) => detail)).not.toContainEqual(
      expect.stringContaining('down'),
    );
    expect(venue.watches).toHaveLength(1);
  });

  it('is opened anew where REST shows trades that it should have brought', async () => {
    const client = await subscribe('trades', 'BTC/USDT');
    venue.subscribed();
    venue.answer = ANSWERS.trades;
    await time.advance(5_000);
    venue.answer = { trades: [trade('1', START - 1000), trade('2', START + 4_000)] };
    await time.advance(12_000);
    expect(venue.watches[0]?.closed).toBe(true);
    const ids = client.ofType('trades').flatMap(({ trades }) => trades as { trade_id: string }[]);
    expect(ids.map((one) => one.trade_id)).toEqual(['1', '2']);
  });
});

describe('a silent feed of a channel that REST does not have', () => {
  const speak = async (socket: string): Promise<FakeClient> => {
    venue.pollable = false;
    const silent = await subscribe('ticker', 'SILENT/USDT');
    venue.tick(100, START);
    venue.subscribed('one');
    await subscribe('ticker', 'BUSY/USDT');
    venue.subscribed(socket);
    for (let second = 0; second < 40; second += 1) {
      venue.tick(100 + second, time.now());
      await time.advance(1_000);
    }
    return silent;
  };

  it('stays live while its connection speaks for others', async () => {
    expect((await speak('one')).states).toEqual(['live']);
    expect(hub.stats().reconnects).toBe(0);
    expect(venue.requests).toEqual([]);
  });

  it('is opened anew where its connection is silent too', async () => {
    const silent = await speak('two');
    expect(silent.states.slice(0, 2)).toEqual(['live', 'reconnecting']);
    expect(silent.ofType('status')[1]?.['detail']).toBe(
      'The feed is silent and nothing else tells whether the market is.',
    );
  });
});

describe('a feed that speaks while it waits for its check', () => {
  it('is not asked about', async () => {
    await subscribe('ticker', 'FIRST/USDT');
    venue.tick(100, START);
    await subscribe('ticker', 'SECOND/USDT');
    venue.tick(100, START);
    const [, second] = venue.watches;
    venue.answer = ANSWERS.ticker;
    await time.advance(IDLE_MS + 1_000);
    second?.sink.onItem(tickerItem(101, time.now()));
    await time.advance(SPACING_MS + 1_000);
    expect(venue.requests.map(({ request }) => request.symbol)).toEqual(['FIRST/USDT']);
  });
});
