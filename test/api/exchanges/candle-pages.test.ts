// Pages are walked by what came: the venues' real oddities, through CCXT.
import { describe, expect, it } from 'vitest';
import { reply, type Answer, type Asked } from '../../support/fake-venue.js';
import { candleRig, DAY, M, MINUTE, NOW, range, seconds } from './candle-rig.js';

const rig = candleRig();

describe('pages', () => {
  const OKX = { id: 'BTC-USDT', symbol: 'BTC/USDT' };
  const okx = ({ query }: Asked) => {
    const after = Math.min(Number(query.get('after') ?? Infinity), NOW);
    const before = Number(query.get('before') ?? 0);
    const newest = Math.ceil(after / MINUTE) * MINUTE - MINUTE;
    const rows = range(newest - 99 * MINUTE, 100)
      .filter((at) => at > before)
      .map((at) => [String(at), '1', '1', '1', '1', '1', '1', '1', '1']);
    return { code: '0', msg: '', data: rows.reverse() };
  };
  it('of OKX, which gives the newest 100 for 300, are walked without a hole', async () => {
    const since = M - 10 * DAY;
    const { starts, gaps } = await rig.candlesOf('okx', OKX, {
      answer: okx,
      interval: '1m',
      since,
      limit: 2000,
    });
    expect(starts).toEqual(range(since, 2000));
    expect(gaps).toBeUndefined();
  });

  it('back from the latest are as many as it takes', async () => {
    const { starts, gaps } = await rig.candlesOf('okx', OKX, { answer: okx, interval: '1m', limit: 550 });
    expect(starts).toEqual(range(M - 549 * MINUTE, 550));
    expect(gaps).toBeUndefined();
  });

  it('back from an end are as many as it takes, though each has the newest of its range', async () => {
    const until = M - 1000 * MINUTE;
    const { starts, gaps } = await rig.candlesOf('okx', OKX, {
      answer: okx,
      interval: '1m',
      until,
      limit: 500,
    });
    expect(starts).toEqual(range(until - 500 * MINUTE, 500));
    expect(gaps).toBeUndefined();
  });

  it('back through a thin market end somewhere: nothing is said of what lies before', async () => {
    const thin: Answer = (asked) => {
      const { data, ...rest } = okx(asked);
      return { ...rest, data: data.filter(([at]) => (Number(at) / MINUTE) % 45 === 0) };
    };
    const { candles, gaps, requests } = await rig.candlesOf('okx', OKX, {
      answer: thin,
      interval: '1m',
      limit: 1000,
    });
    const [unasked, ...asked] = gaps ?? [];
    // Asked twice.
    expect(requests.length / 2).toBeLessThanOrEqual(24);
    expect(candles.length).toBeGreaterThan(10);
    expect(unasked).toMatchObject({ from: M - 999 * MINUTE, reason: 'unconfirmed' });
    expect(new Set(asked.map(({ reason }) => reason))).toEqual(new Set(['not_available_from_exchange']));
  });

  it('of BTC Markets are 200 rows, whatever is asked for: the answer has 500', async () => {
    const answer: Answer = ({ query }) => {
      const from = query.get('from');
      const first = from === null ? M - 199 * MINUTE : Date.parse(from);
      const rows = range(first, 200).filter((at) => at <= M);
      return rows.map((at) => [new Date(at).toISOString(), '1', '1', '1', '1', '1']).reverse();
    };
    const { starts, gaps } = await rig.candlesOf(
      'btcmarkets',
      { id: 'BTC-AUD', symbol: 'BTC/AUD' },
      {
        answer,
        interval: '1m',
        limit: 500,
      },
    );
    expect(starts).toEqual(range(M - 499 * MINUTE, 500));
    expect(gaps).toBeUndefined();
  });

  it.each(['coinex', 'mexc'])('of %s that ignore the start are asked for whole', async (exchange) => {
    const answer: Answer = ({ query }) => {
      const limit = Number(query.get('limit') ?? 500);
      const starts = range(M - (limit - 1) * MINUTE, limit);
      if (exchange === 'mexc') return starts.map((at) => [at, '1', '1', '1', '1', '1', at + MINUTE, '1']);
      const row = { open: '1', high: '1', low: '1', close: '1', volume: '1' };
      return { code: 0, message: 'OK', data: starts.map((at) => ({ created_at: at, ...row })) };
    };
    const since = M - 30 * MINUTE;
    const { starts, gaps, next_since, requests } = await rig.candlesOf(
      exchange,
      { id: 'BTCUSDT', symbol: 'BTC/USDT' },
      {
        answer,
        interval: '1m',
        since,
        limit: 5,
      },
    );
    expect(starts).toEqual(range(since, 5));
    expect(gaps).toBeUndefined();
    expect(next_since).toBe(since + 5 * MINUTE);
    // The second call asks for a whole page at once, and only once.
    expect(requests.length).toBe(exchange === 'coinex' ? 2 : 3);
  });

  const gateRows = (from: number, to: number) =>
    range(from, Math.floor((to - from) / MINUTE) + 1).map((at) => [
      seconds(at),
      '1',
      '1',
      '1',
      '1',
      '1',
      '1',
    ]);

  it('of Gate, which refuses what is too old, begin with the oldest that it gives', async () => {
    const oldest = M - 9999 * MINUTE;
    const answer: Answer = ({ query }) => {
      const from = Number(query.get('from')) * 1000;
      if (from < NOW - 10_000 * MINUTE)
        return reply({
          status: 400,
          body: {
            label: 'INVALID_PARAM_VALUE',
            message: 'Candlestick too long ago. Maximum 10000 points ago are allowed',
          },
        });
      return gateRows(from, Number(query.get('to')) * 1000);
    };
    const since = M - 30 * DAY;
    const { starts, gaps } = await rig.candlesOf(
      'gate',
      { id: 'BTC_USDT', symbol: 'BTC/USDT' },
      {
        answer,
        interval: '1m',
        since,
        limit: 5,
      },
    );
    expect(starts).toEqual(range(oldest, 5));
    expect(gaps).toEqual([{ from: since, to: oldest, reason: 'not_available_from_exchange' }]);
  });

  describe('of a venue that refuses what is too old and does not say how old', () => {
    const refusing =
      (oldest: number): Answer =>
      ({ query }) => {
        const from = Number(query.get('from')) * 1000;
        const body = { label: 'INVALID_PARAM_VALUE', message: 'Candlestick too long ago' };
        return from < oldest
          ? reply({ status: 400, body })
          : gateRows(from, Math.min(M, Number(query.get('to')) * 1000));
      };
    const GATE = { id: 'BTC_USDT', symbol: 'BTC/USDT' };

    it('begin with the oldest that it gives', async () => {
      const [since, oldest] = [M - 2 * DAY, M - 1000 * MINUTE];
      const asked = { answer: refusing(oldest), interval: '1m', since, limit: 5 };
      const { starts, gaps, requests } = await rig.candlesOf('gate', GATE, asked);
      expect(starts).toEqual(range(oldest, 5));
      expect(gaps).toEqual([{ from: since, to: oldest, reason: 'not_available_from_exchange' }]);
      // Two calls, each with the refused page, the search and the page from the oldest on.
      expect(requests.length).toBeLessThanOrEqual(2 * 14);
    });

    it('begin within eleven minutes of it a month back, and call that stretch unconfirmed', async () => {
      const [since, oldest] = [M - 30 * DAY, M - 9_876 * MINUTE];
      const asked = { answer: refusing(oldest), interval: '1m', since, limit: 5 };
      const { starts, gaps } = await rig.candlesOf('gate', GATE, asked);
      const [first = 0] = starts;
      expect(starts).toEqual(range(first, 5));
      expect(first - oldest).toBeGreaterThanOrEqual(0);
      expect(first - oldest).toBeLessThanOrEqual(11 * MINUTE);
      expect(gaps).toEqual([
        { from: since, to: expect.any(Number) as number, reason: 'not_available_from_exchange' },
        { from: gaps?.[0]?.to, to: first, reason: 'unconfirmed' },
      ]);
      expect(gaps?.[0]?.to).toBeLessThanOrEqual(oldest);
    });

    it('have no hole before the latest ones', async () => {
      const oldest = M - 700 * MINUTE;
      const asked = { answer: refusing(oldest), interval: '1m', until: M - 500 * MINUTE, limit: 1000 };
      const { starts } = await rig.candlesOf('gate', GATE, asked);
      expect(starts).toEqual(range(oldest, 200));
    });
  });

  it.each([
    [
      'with the number it takes',
      'Candlestick range too broad. Maximum 400 data points are allowed per request',
      400,
    ],
    ['without a number', 'Candlestick range too broad', 300],
  ])('that a venue refuses as too long are asked for shorter: %s', async (_, message, most) => {
    const answer: Answer = ({ query }) => {
      const to = Number(query.get('to') ?? seconds(M)) * 1000;
      const asked = Number(query.get('limit') ?? 0);
      const from = query.has('from') ? Number(query.get('from')) * 1000 : to - (asked - 1) * MINUTE;
      if ((to - from) / MINUTE + 1 > most)
        return reply({ status: 400, body: { label: 'INVALID_PARAM_VALUE', message } });
      return gateRows(from, Math.min(to, M));
    };
    const since = M - 2 * DAY;
    const { starts, gaps, requests } = await rig.candlesOf(
      'gate',
      { id: 'BTC_USDT', symbol: 'BTC/USDT' },
      { answer, interval: '1m', since, limit: 1500 },
    );
    expect(starts).toEqual(range(since, 1500));
    expect(gaps).toBeUndefined();
    // The second call knows how long a page may be, so that none of its pages is refused.
    const again = Math.ceil(1500 / (most === 400 ? 400 : 250));
    expect(requests.length).toBe(again * 2 + (most === 400 ? 1 : 2));
  });

  const COINBASE = { id: 'A-USD', symbol: 'A/USD' };
  const coinbase = (has: (at: number, request: number) => boolean): Answer => {
    let requests = 0;
    return ({ query }) => {
      requests += 1;
      const step = Number(query.get('granularity')) * 1000;
      const from = Math.ceil(Date.parse(query.get('start') ?? '') / step) * step;
      const to = Math.min(Date.parse(query.get('end') ?? ''), NOW);
      const rows = range(from, Math.max(0, Math.floor((to - from) / step) + 1), step);
      return rows
        .filter((at) => has(at, requests))
        .map((at) => [seconds(at), 1, 2, 1, 2, 1])
        .reverse();
    };
  };

  it('that come empty between full ones are asked for once more', async () => {
    const since = M - 900 * MINUTE;
    const request = { interval: '1m', since, limit: 900 };
    const once = await rig.candlesOf('coinbaseexchange', COINBASE, {
      ...request,
      answer: coinbase((_, number) => number !== 2),
    });
    expect(once.starts).toEqual(range(since, 900));
    expect(once.gaps).toBeUndefined();
    await rig.closeVenue();
    const lost = (at: number): boolean => at < since + 300 * MINUTE || at >= since + 600 * MINUTE;
    const twice = await rig.candlesOf('coinbaseexchange', COINBASE, { ...request, answer: coinbase(lost) });
    expect(twice.gaps).toContainEqual({
      from: since + 300 * MINUTE,
      to: since + 600 * MINUTE,
      reason: 'unconfirmed',
    });
    expect(twice.answered.mayHeal).toBe(true);
  });

  it('of a thin market are walked until now or until the search ends, which is said', async () => {
    const since = M - 10 * DAY;
    const answer = coinbase((at) => (at / MINUTE) % 397 === 0);
    const first = await rig.candlesOf('coinbaseexchange', COINBASE, {
      answer,
      interval: '1m',
      since,
      limit: 2000,
    });
    const starts = [...first.starts];
    let next = first.next_since;
    expect(next).toBeGreaterThan(first.starts.at(-1) ?? Infinity);
    expect(first.gaps?.at(-1)?.to).toBeLessThanOrEqual(next ?? 0);
    for (let i = 0; next !== undefined && i < 10; i += 1) {
      const more = await rig.client()?.ask({
        kind: 'ohlcv',
        exchange: 'coinbaseexchange',
        symbol: 'A/USD',
        interval: '1m',
        since: next,
        limit: 2000,
      });
      starts.push(...(more?.candles ?? []).map(({ timestamp }) => timestamp));
      next = more?.next_since;
    }
    const all = range(since, 10 * 1440 + 1).filter((at) => (at / MINUTE) % 397 === 0);
    expect(starts).toEqual(all);
  });

  it('from the epoch on are those since the listing, or it is said where to go on', async () => {
    // Traded since 2015, days without a trade have no candle.
    const listed = Date.UTC(2015, 6, 20);
    const answer = coinbase((at) => at >= listed && (at / DAY) % 7 !== 0);
    const expected = range(listed, 20, DAY).filter((at) => (at / DAY) % 7 !== 0);
    const first = await rig.candlesOf('coinbaseexchange', COINBASE, {
      answer,
      interval: '1d',
      since: 0,
      limit: 10,
    });
    const starts = [...first.starts];
    let next = first.next_since;
    for (let i = 0; starts.length < 10 && next !== undefined && i < 20; i += 1) {
      const request = { interval: '1d', since: next, limit: 10 - starts.length };
      const more = await rig
        .client()
        ?.ask({ kind: 'ohlcv', exchange: 'coinbaseexchange', symbol: 'A/USD', ...request });
      starts.push(...(more?.candles ?? []).map(({ timestamp }) => timestamp));
      next = more?.next_since;
    }
    expect(starts).toEqual(expected.slice(0, 10));
    expect(next).toBe(expected[9]! + DAY);
    // Of what has no row nothing is claimed that nobody proved.
    for (const { reason } of first.gaps ?? []) expect(reason).not.toBe('no_trades');
  });

  it('that lack the latest minutes prove nothing about them, and are kept briefly', async () => {
    const { starts, gaps, answered } = await rig.candlesOf('coinbaseexchange', COINBASE, {
      answer: coinbase((at) => at <= M - 4 * MINUTE),
      interval: '1m',
      since: M - 10 * MINUTE,
      limit: 10,
    });
    expect(starts).toEqual(range(M - 10 * MINUTE, 7));
    expect(gaps).toEqual([{ from: M - 3 * MINUTE, to: M, reason: 'unconfirmed' }]);
    expect(answered.mayHeal).toBe(true);
  });

  it('prove a quiet stretch only where both its ends came in one of them', async () => {
    const since = M - 900 * MINUTE;
    const quiet = (at: number): boolean => {
      const minute = (at - since) / MINUTE;
      return (minute < 100 || minute > 110) && (minute < 140 || minute > 500);
    };
    const { gaps } = await rig.candlesOf('coinbaseexchange', COINBASE, {
      answer: coinbase(quiet),
      interval: '1m',
      since,
      limit: 400,
    });
    expect(gaps).toEqual([
      { from: since + 100 * MINUTE, to: since + 111 * MINUTE, reason: 'no_trades' },
      { from: since + 140 * MINUTE, to: since + 501 * MINUTE, reason: 'not_available_from_exchange' },
    ]);
  });
});
