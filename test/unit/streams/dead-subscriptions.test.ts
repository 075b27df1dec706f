/** Subscriptions that die on a connection that lives: found among many that are silent because their markets are. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClient, START, tickerBody, tickerItem } from './fakes.js';
import { SPACING_MS, limitPolls, subscribe } from './quiet-rig.js';
import { IDLE_MS, startHub, time, venue } from './rig.js';

beforeEach(() => {
  startHub({ checkSpacingMs: SPACING_MS });
});

describe('a subscription that dies on a connection that lives, among 199 silent ones', () => {
  const DEAD = 'C150/USDT';

  /** Tickers that tick every `gapOf` ms until all fall silent at once; REST then knows something newer of one of them. */
  const silence = async (gapOf: (symbol: string) => number): Promise<FakeClient> => {
    limitPolls(({ symbol }) =>
      tickerBody(symbol === DEAD ? 101 : 100, START + (symbol === DEAD ? 90_000 : -1000)),
    );
    let dead = new FakeClient();
    for (let n = 0; n < 200; n += 1) {
      const client = await subscribe('ticker', `C${n}/USDT`);
      if (`C${n}/USDT` === DEAD) dead = client;
      venue.subscribed('one');
      venue.tick(100, START - 500);
    }
    for (let second = 1; second <= 60; second += 1) {
      await time.advance(1_000);
      for (const { topic, sink } of venue.watches)
        if ((second * 1_000) % gapOf(topic.symbol) === 0) sink.onItem(tickerItem(100, START - 500 + second));
    }
    return dead;
  };
  const isFound = (client: FakeClient): boolean =>
    client.ofType('status').some(({ detail }) => detail === 'The feed is silent although the market moves.');

  const reopened = (): string[] => [
    ...new Set(venue.watches.filter(({ closed }) => closed).map(({ topic }) => topic.symbol)),
  ];

  it('is found at once where it used to send more than the others', async () => {
    const dead = await silence((symbol) => (symbol === DEAD ? 1_000 : 20_000));
    await time.advance(IDLE_MS + 2 * SPACING_MS);
    expect(isFound(dead)).toBe(true);
    expect(reopened()).toEqual([DEAD]);
  });

  it('is found in ten minutes where nothing distinguishes it from the others', async () => {
    const dead = await silence(() => 20_000);
    await time.advance(IDLE_MS + 200 * 3_000);
    expect(isFound(dead)).toBe(true);
    expect(reopened()).toEqual([DEAD]);
  });

  it('is not starved by others whose silence is more unusual', async () => {
    const dead = await silence((symbol) => (symbol === DEAD ? 20_000 : 1_000));
    await time.advance(IDLE_MS + 2 * 200 * 3_000);
    expect(isFound(dead)).toBe(true);
    expect(reopened()).toEqual([DEAD]);
  });
});
