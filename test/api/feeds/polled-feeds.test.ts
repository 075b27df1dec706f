/** Polling in the place of a feed. */
import { describe, expect, it } from 'vitest';
import { rigOfEachTest } from './each-rig.js';
import { VENUES } from './rig.js';

const { start, open, expectTruePrices } = rigOfEachTest();

describe.each(VENUES)('clients of $exchange', (venue) => {
  it('are served by polling while upgrades are refused, and by the feed afterwards', async () => {
    const rig = await start({ hurry: 5 });
    const client = await open(venue);
    const before = client.events.length;
    rig.sandbox.control.setFault({
      venue: venue.exchange,
      match: 'websocket',
      fault: { type: 'status', status: 503 },
    });
    rig.sandbox.control.sockets(venue.exchange, { action: 'terminate' });
    await client.state('polling', before);
    await client.more('ticker', 2);
    rig.sandbox.control.clearFaults();
    await client.state('live', before);
    await client.more('ticker', 3);
    const states = client.states.slice(-3);
    expect(states).toEqual(['reconnecting', 'polling', 'live']);
    expectTruePrices(venue, client);
  });
});

describe('a channel without a feed', () => {
  it('is polled, and says so', async () => {
    const rig = await start({ hurry: 20 });
    const topic = {
      channel: 'ohlcv',
      exchange: 'coinbaseexchange',
      symbol: 'BTC/USD',
      interval: '1m',
    } as const;
    const { client } = await rig.join(topic);
    await client.more('ohlcv', 3);
    expect(client.states).toEqual(['polling']);
    expect(rig.sandbox.control.listSockets()).toEqual([]);
    for (const { candles } of client.ofType('ohlcv')) expect(candles).not.toHaveLength(0);
  });
});
