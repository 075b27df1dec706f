/** Closed candles, each once and in order, whatever happens to the feed. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { silentLog } from '../../../src/log/log.js';
import type { Candle } from '../../../src/schemas/market.js';
import type { MarketRequest } from '../../../src/exchanges/exchange-client.js';
import { createLocalHub } from '../../support/local-hub.js';
import * as schemas from '../../../src/schemas/stream-protocol.js';
import { FakeClient, FakeMarketData, FakeTime, FakeVenue, START, candle, settle } from './fakes.js';

const MINUTE = 60_000;
const SECOND = 1_000;
/** A minute begins here. */
const T0 = Math.floor(START / MINUTE) * MINUTE;

let time: FakeTime;
let venue: FakeVenue;
let market: FakeMarketData;
let client: FakeClient;

/** The venue's candles of the last `limit` periods; one of `period` number n closes at 10 + n. */
const rowsAt = (now: number, period: number, limit: number): Candle[] => {
  const open = Math.floor(now / period) * period;
  return Array.from({ length: limit }, (_, index) => open - (limit - 1 - index) * period)
    .filter((at) => at >= T0)
    .map((at) => candle(at, 10 + (at - T0) / period, { closed: at < open }));
};

const limitOf = (request: MarketRequest): number => ('limit' in request ? request.limit : 0);

const serveRows = (period: number, most = 500): void => {
  const { fetch } = venue;
  venue.fetch = (request, options) => {
    venue.answer = { candles: rowsAt(time.now(), period, Math.min(most, limitOf(request))) };
    return fetch(request, options);
  };
};

const open = async (interval: string): Promise<void> => {
  const hub = createLocalHub({
    exchanges: venue,
    marketData: () => market,
    settings: { deltaThreshold: 0, lingerMs: 0, idleTimeoutMs: 30_000 },
    pollIntervalMs: { ticker: 2_000, trades: 2_000, orderbook: 2_000, ohlcv: 5_000 },
    checkSpacingMs: 0,
    sandbox: false,
    log: silentLog,
    now: time.now,
    monotonic: time.monotonic,
    random: () => 0.5,
    timers: time,
  });
  const topic = { channel: 'ohlcv', exchange: 'binance', symbol: 'BTC/USDT', interval } as const;
  await hub.subscribe({ topic, name: 'binance' }, client);
};

const closed = (): number[] =>
  client
    .ofType('ohlcv')
    .flatMap(({ candles }) => candles as Candle[])
    .filter((one) => one.closed)
    .map(({ timestamp }) => timestamp - T0);

const periods = (from: number, to: number, period: number): number[] =>
  Array.from({ length: to - from }, (_, n) => (from + n) * period);

/** The feed shows the open candle of this moment. */
const say = (period: number, closeBy = 0): void => {
  const at = Math.floor(time.now() / period) * period;
  venue.say({ channel: 'ohlcv', candles: [candle(at, 10 + (at - T0) / period + closeBy)] });
};

beforeEach(() => {
  time = new FakeTime();
  time.set(T0 + 100);
  venue = new FakeVenue(time);
  market = new FakeMarketData(time);
  client = new FakeClient();
});

describe('candles that are polled', () => {
  beforeEach(() => {
    venue.watchable = [];
  });

  it('of a second come each once and in order although polls are five seconds apart', async () => {
    market.answer = { candles: rowsAt(time.now(), SECOND, 2) };
    serveRows(SECOND);
    await open('1s');
    await time.advance(60 * SECOND);
    expect(closed()).toEqual(periods(0, 60, SECOND));
    expect(client.ofType('lost')).toEqual([]);
  });

  it('come each once and in order over an outage of ten minutes', async () => {
    market.answer = { candles: rowsAt(time.now(), MINUTE, 2) };
    serveRows(MINUTE);
    await open('1m');
    await time.advance(2 * MINUTE);
    const { fetch } = venue;
    venue.fetch = () => Promise.reject(new AppError('upstream_unavailable', 'binance can not be reached.'));
    await time.advance(10 * MINUTE);
    venue.fetch = fetch;
    await time.advance(2 * MINUTE);
    expect(closed()).toEqual(periods(0, 14, MINUTE).slice(0, closed().length));
    expect(closed().length).toBeGreaterThanOrEqual(13);
    expect(client.ofType('lost')).toEqual([]);
  });

  it('that REST has not any more are told with their range', async () => {
    market.answer = { candles: rowsAt(time.now(), SECOND, 2) };
    serveRows(SECOND, 3);
    await open('1s');
    await time.advance(5 * SECOND);
    const [lost] = client.ofType('lost');
    expect(lost).toMatchObject({ channel: 'ohlcv', interval: '1s', from: T0, to: T0 + 3 * SECOND });
    expect(schemas.lostEvent.parse(lost)).toEqual(lost);
    expect(closed()).toEqual([3 * SECOND, 4 * SECOND]);
  });

  it('ask for no more than 500 periods', async () => {
    market.answer = { candles: rowsAt(time.now(), SECOND, 2) };
    serveRows(SECOND);
    await open('1s');
    const { fetch } = venue;
    venue.fetch = () => Promise.reject(new AppError('upstream_unavailable', 'binance can not be reached.'));
    await time.advance(1_000 * SECOND);
    venue.fetch = fetch;
    await time.advance(61 * SECOND);
    expect(Math.max(...venue.requests.map(({ request }) => limitOf(request)))).toBe(500);
    const [lost] = client.ofType('lost');
    expect(lost).toMatchObject({ from: T0 });
    expect(closed()[0]).toBe(Number(lost?.['to']) - T0);
    expect(closed()).toEqual(periods(closed()[0]! / SECOND, closed().at(-1)! / SECOND + 1, SECOND));
  });
});

describe('candles of a feed', () => {
  beforeEach(async () => {
    market.answer = { candles: rowsAt(time.now(), MINUTE, 2) };
    serveRows(MINUTE);
    await open('1m');
    say(MINUTE);
    await settle();
  });

  it('come each once and in order over a break of ten minutes, those of the break from REST and first', async () => {
    await time.advance(MINUTE);
    say(MINUTE);
    venue.watchThrows = new AppError('upstream_unavailable', 'No.');
    const { fetch } = venue;
    venue.fetch = () => Promise.reject(new AppError('upstream_unavailable', 'No.'));
    venue.break();
    await time.advance(10 * MINUTE);
    venue.watchThrows = null;
    venue.fetch = fetch;
    const opened = venue.watches.length;
    while (venue.watches.length === opened) await time.advance(100);
    say(MINUTE, 0.5);
    await settle();
    const now = Math.floor(time.now() / MINUTE) * MINUTE - T0;
    expect(closed()).toEqual(periods(0, now / MINUTE, MINUTE));
    await time.advance(MINUTE);
    say(MINUTE);
    await settle();
    expect(closed()).toEqual(periods(0, now / MINUTE + 1, MINUTE));
    expect(client.ofType('lost')).toEqual([]);
  });

  it('that end while REST is late are asked for again while the feed waits', async () => {
    venue.break();
    await time.advance(500);
    await time.advance(MINUTE - 1_000);
    const { fetch } = venue;
    const late = time.now();
    await time.advance(1_000);
    venue.fetch = (request, options) => {
      venue.answer = { candles: rowsAt(late, MINUTE, limitOf(request)) };
      return fetch(request, options);
    };
    say(MINUTE);
    await settle();
    venue.fetch = fetch;
    await time.advance(2_000);
    expect(closed()).toEqual([0]);
    expect(client.ofType('lost')).toEqual([]);
  });

  it('that can not be told any more are reported with their range', async () => {
    venue.break();
    venue.fetch = () => Promise.reject(new AppError('upstream_unavailable', 'No.'));
    await time.advance(3 * MINUTE);
    say(MINUTE);
    await settle();
    const at = Math.floor(time.now() / MINUTE) * MINUTE;
    expect(client.ofType('lost')).toMatchObject([{ channel: 'ohlcv', from: T0, to: at }]);
    expect(closed()).toEqual([]);
  });

  it('of periods without trades are no loss', async () => {
    await time.advance(MINUTE);
    say(MINUTE);
    venue.break();
    await time.advance(500);
    const thin = [T0, T0 + MINUTE].map((at) => candle(at, 10 + (at - T0) / MINUTE, { closed: true }));
    const at = T0 + 6 * MINUTE;
    const { fetch } = venue;
    venue.fetch = (request, options) => {
      const answered = fetch(request, options);
      return answered.then((answer) => ({
        ...answer,
        body: new TextEncoder().encode(
          JSON.stringify({
            exchange: 'binance',
            symbol: 'BTC/USDT',
            interval: '1m',
            candles: time.now() < at ? thin : [...thin, candle(at, 99)],
          }),
        ),
      }));
    };
    await time.advance(5 * MINUTE);
    say(MINUTE);
    await settle();
    expect(client.ofType('lost')).toEqual([]);
    expect(closed()).toEqual([0, MINUTE]);
  });
});

describe('a subscriber to candles of a market in which nothing was ever traded', () => {
  it('gets no event but the state', async () => {
    market.answer = { candles: [] };
    venue.answer = { candles: [] };
    await open('1m');
    await time.advance(2_000);
    expect(client.events.map(({ event_type }) => event_type).filter((type) => type !== 'status')).toEqual([]);
  });
});
