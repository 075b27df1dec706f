/** What happened while a feed was lost is filled in from REST, or told. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClient, START, candle, settle, trade } from './fakes.js';
import {
  REST_TICKER,
  MINUTE_MS,
  time,
  venue,
  market,
  hub,
  client,
  open,
  unavailable,
  startHub,
} from './rig.js';

beforeEach(() => {
  startHub({ checkSpacingMs: 0, answer: REST_TICKER });
});

describe('after a break', () => {
  it('trades that were missed are fetched and come first, and none comes twice', async () => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    venue.break();
    venue.answer = { trades: ['1', '2', '3', '4'].map((id) => trade(id, START + Number(id) - 1)) };
    await time.advance(500);
    venue.say({ channel: 'trades', trades: [trade('2', START + 1), trade('5', START + 4)] });
    await settle();
    const ids = client
      .ofType('trades')
      .map(({ trades }) => (trades as { trade_id: string }[]).map((one) => one.trade_id));
    expect(ids).toEqual([['1'], ['2'], ['3', '4'], ['5']]);
  });

  it('trades are asked for again where the venue took the subscription later than REST was asked', async () => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    venue.break();
    venue.answer = { trades: ['1', '2', '3'].map((id) => trade(id, START + Number(id) - 1)) };
    await time.advance(500);
    venue.subscribed();
    await time.advance(1_000);
    expect(client.states.at(-1)).toBe('live');
    // 4 and 5 come before the venue has the subscription.
    venue.answer = { trades: ['1', '2', '3', '4', '5', '6'].map((id) => trade(id, START + Number(id) - 1)) };
    const asked = venue.requests.length;
    for (const id of ['6', '7'])
      venue.say({ channel: 'trades', trades: [trade(id, START + Number(id) - 1)] });
    await settle();
    venue.say({ channel: 'trades', trades: [trade('8', START + 7)] });
    await settle();
    const ids = client
      .ofType('trades')
      .flatMap(({ trades }) => (trades as { trade_id: string }[]).map((one) => one.trade_id));
    expect(ids).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
    expect(venue.requests.length).toBe(asked + 1);
    expect(client.ofType('lost')).toEqual([]);
  });

  describe('trades that come while REST is asked for those before', () => {
    let answers: ((body: object | Error) => void)[];
    const say = (id: number, tradeId: string | null = String(id)): void => {
      venue.say({ channel: 'trades', trades: [trade(tradeId, START + id)] });
    };
    const times = (): number[] =>
      client
        .ofType('trades')
        .flatMap(({ trades }) =>
          (trades as { timestamp: number }[]).map(({ timestamp }) => timestamp - START),
        );

    const lost = () => client.ofType('lost');

    beforeEach(async () => {
      market.answer = { trades: [trade('1', START + 1)] };
      await open('trades');
      answers = [];
      const { fetch } = venue;
      venue.fetch = async (request, options) => {
        venue.answer = await new Promise<object | Error>((resolve) => answers.push(resolve));
        return fetch(request, options);
      };
    });

    it('wait for them, each shown once also without an id', async () => {
      say(3, null);
      say(4, null);
      await settle();
      expect(times()).toEqual([1]);
      answers[0]?.({ trades: [trade('1', START + 1), ...[2, 3, 4].map((id) => trade(null, START + id))] });
      await settle();
      say(4, null);
      say(5, null);
      expect(times()).toEqual([1, 2, 3, 4, 5]);
      await time.advance(10_000);
      expect(times()).toHaveLength(5);
    });

    it.each([
      { cause: 'REST fails', happens: () => answers[0]?.(unavailable()) },
      { cause: 'REST is past its deadline', happens: () => time.advance(10_000) },
      {
        cause: 'the feed breaks',
        happens: () => {
          venue.break();
        },
      },
    ])('wait no longer where $cause', async ({ happens }) => {
      say(3);
      say(4);
      await settle();
      expect(times()).toEqual([1]);
      await happens();
      await settle();
      expect(times()).toEqual([1, 3, 4]);
    });

    it('are held up to a bound', async () => {
      for (let id = 2; id <= 1000; id += 1) say(id);
      await settle();
      expect(times()).toEqual([1]);
      say(1001);
      say(1002);
      expect(times()).toEqual(Array.from({ length: 1002 }, (_, i) => i + 1));
    });

    it('are not held for the answer to an earlier break', async () => {
      say(3);
      venue.break();
      await time.advance(500);
      say(6);
      answers[0]?.({ trades: [1, 2, 3].map((id) => trade(String(id), START + id)) });
      await settle();
      expect(times()).toEqual([1, 3]);
      expect(lost()).toMatchObject([{ channel: 'trades', symbol: 'BTC/USDT', count: 1 }]);
      answers[1]?.({ trades: [2, 3, 4, 5].map((id) => trade(String(id), START + id)) });
      await settle();
      expect(times()).toEqual([1, 3, 4, 5, 6]);
      expect(lost()).toHaveLength(1);
    });

    it.each([
      { when: 'the hold is over', happens: () => time.advance(10_000) },
      {
        when: 'more came than is held',
        happens: () => {
          for (let more = 0; more < 1000; more += 1) say(4, `4-${more}`);
          return settle();
        },
      },
    ])('are never followed by older ones where REST answers when $when', async ({ happens }) => {
      say(4);
      await settle();
      await happens();
      say(6);
      answers[0]?.({ trades: [1, 2, 3, 4, 5, 20].map((id) => trade(String(id), START + id)) });
      await settle();
      // Trade 20 the feed has yet to bring.
      say(20);
      say(21);
      expect(times()).toEqual([...times()].sort((a, b) => a - b));
      expect(times().slice(0, 2)).toEqual([1, 4]);
      expect(times().slice(-2)).toEqual([20, 21]);
      expect(lost()).toMatchObject([{ event_type: 'lost', exchange: 'binance', count: 3 }]);
      // A newcomer gets all in their order.
      const newcomer = new FakeClient();
      const topic = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } as const;
      await hub.subscribe({ topic, name: 'binance' }, newcomer);
      const [{ trades } = {}] = newcomer.ofType('trades');
      const seen = (trades as { timestamp: number }[]).map(({ timestamp }) => timestamp);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
    });

    it('leave no doubt about what came since when the next break is bridged', async () => {
      say(3);
      answers[0]?.({ trades: [1, 2].map((id) => trade(String(id), START + id)) });
      await settle();
      say(50);
      venue.break();
      await time.advance(500);
      say(60);
      answers[1]?.({ trades: [50, 55].map((id) => trade(String(id), START + id)) });
      await settle();
      expect(times()).toEqual([1, 2, 3, 50, 55, 60]);
      expect(client.ofType('status').map(({ detail }) => detail)).not.toContainEqual(
        expect.stringContaining('missing'),
      );
    });
  });

  it('as many trades as REST gives are asked for once, and no more than before by every poll', async () => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.break();
    await time.advance(5_000);
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    expect(venue.requests.map(({ request }) => 'limit' in request && request.limit)).toEqual([100, 1000]);
  });

  it.each([
    { rest: 'does not reach back', answer: () => ({ trades: [trade('9', START + 90)] }) },
    { rest: 'cannot be asked', answer: () => unavailable() },
  ])('a client is told that trades may be missing where REST $rest', async ({ answer }) => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    expect(client.ofType('status').map(({ detail }) => detail)).not.toContainEqual(
      expect.stringContaining('missing'),
    );
    venue.break();
    venue.answer = answer();
    await time.advance(500);
    venue.say({ channel: 'trades', trades: [trade('10', START + 100)] });
    await settle();
    expect(client.ofType('status').at(-1)).toMatchObject({
      state: 'live',
      channel: 'trades',
      detail: expect.stringContaining('some trades') as string,
    });
  });

  it('a candle is not called closed on what was known before', async () => {
    market.answer = { candles: [candle(START, 1)] };
    venue.answer = market.answer;
    await open('ohlcv');
    venue.say({ channel: 'ohlcv', candles: [candle(START, 2)] });
    await settle();
    venue.break();
    venue.answer = unavailable();
    await time.advance(500);
    venue.say({ channel: 'ohlcv', candles: [candle(START + MINUTE_MS, 3)] });
    await settle();
    expect(client.ofType('ohlcv').at(-1)).toMatchObject({ candles: [candle(START + MINUTE_MS, 3)] });
  });

  it('a candle that ended meanwhile comes with the figures that REST has', async () => {
    market.answer = { candles: [candle(START, 1)] };
    venue.answer = market.answer;
    await open('ohlcv');
    venue.say({ channel: 'ohlcv', candles: [candle(START, 2)] });
    await settle();
    venue.break();
    venue.answer = { candles: [candle(START, 7, { closed: true }), candle(START + MINUTE_MS, 3)] };
    await time.advance(500);
    venue.say({ channel: 'ohlcv', candles: [candle(START + MINUTE_MS, 3)] });
    await settle();
    expect(client.ofType('ohlcv').at(-1)).toMatchObject({
      candles: [candle(START, 7, { closed: true }), candle(START + MINUTE_MS, 3)],
    });
  });

  it('an answer that comes after the end is not shown', async () => {
    market.answer = { trades: [trade('1', START)] };
    const topic = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    const subscription = await hub.subscribe({ topic, name: 'binance' }, client);
    let answer: () => void = () => undefined;
    venue.fetch = () => new Promise((_resolve, reject) => (answer = () => reject(unavailable())));
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    subscription.close();
    await time.advance(0);
    answer();
    await settle();
    expect(client.ofType('trades')).toHaveLength(1);
  });
});
