/** Feeds that cannot be opened because of this server's own limits: that says nothing about the venue. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { BOOK, SPACING_MS, subscribe } from './quiet-rig.js';
import { hub, startHub, time, venue } from './rig.js';

beforeEach(() => {
  startHub({ checkSpacingMs: SPACING_MS });
});

describe('a feed whose opening this server itself refuses', () => {
  const refuse = (retryAfterMs?: number): void => {
    venue.break(new AppError('upstream_budget_exhausted', 'No budget.', { retryAfterMs }));
  };

  it('is opened as soon as this server may ask, and clients are told of no fault', async () => {
    const client = await subscribe('orderbook', 'BTC/USDT');
    venue.answer = new AppError('upstream_budget_exhausted', 'No budget.', { retryAfterMs: 20_000 });
    venue.subscribed();
    await time.advance(2_000);
    refuse(20_000);
    await time.advance(19_000);
    expect(venue.watches).toHaveLength(1);
    await time.advance(12_000);
    expect(venue.watches).toHaveLength(2);
    venue.say({ channel: 'orderbook', ...BOOK });
    expect(client.states).toEqual(['reconnecting', 'live']);
    expect(hub.stats().reconnects).toBe(0);
  });

  it('is polled meanwhile where polls may leave', async () => {
    const client = await subscribe('orderbook', 'BTC/USDT');
    venue.answer = BOOK;
    refuse(60_000);
    await time.advance(6_000);
    expect(client.states.at(-1)).toBe('polling');
    expect(venue.watches).toHaveLength(1);
  });

  it('is opened within four seconds where nothing says when this server may ask', async () => {
    await subscribe('orderbook', 'BTC/USDT');
    refuse();
    await time.advance(4_000);
    expect(venue.watches).toHaveLength(2);
  });

  it('is reconnecting where it had its book before: that is out of date', async () => {
    const client = await subscribe('orderbook', 'BTC/USDT');
    venue.say({ channel: 'orderbook', ...BOOK });
    refuse(20_000);
    expect(client.states).toEqual(['live', 'reconnecting']);
    expect(hub.stats().reconnects).toBe(1);
  });
});
