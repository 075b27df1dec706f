/** Feeds that say nothing although the market moves. */
import { describe, expect, it } from 'vitest';
import { rigOfEachTest } from './each-rig.js';
import { VENUES } from './rig.js';

const BINANCE = VENUES[0];

const { start, open, expectTruePrices } = rigOfEachTest();

describe.each(VENUES)('clients of $exchange', (venue) => {
  it('get a status for a socket that was muted while the market moves, the true price and then a live feed', async () => {
    const rig = await start({ idleTimeoutMs: 400 });
    const client = await open(venue);
    const before = client.events.length;
    rig.sandbox.control.sockets(venue.exchange, { action: 'mute' });
    await client.state('reconnecting', before);
    expect(client.ofType('status').at(-1)?.['detail']).toBe('The feed is silent although the market moves.');
    await client.state('live', before);
    await client.more('ticker', 3);
    expectTruePrices(venue, client);
  });
});

describe.each(VENUES)('a subscription at $exchange that is acknowledged and then silent', (venue) => {
  it('does not hang: polling serves until it is subscribed anew', async () => {
    const rig = await start({ hurry: 5 });
    const { exchange, symbol } = venue;
    const fault = { type: 'ws_silent' } as const;
    rig.sandbox.control.setFault({ venue: exchange, match: 'websocket', fault, times: 1 });
    const { client } = await rig.join({ channel: 'ticker', exchange, symbol });
    await client.state('live');
    await client.more('ticker', 2);
    expect(client.states).toEqual(['reconnecting', 'polling', 'live']);
    expectTruePrices(venue, client);
  });
});

describe('a depth snapshot that stalls', () => {
  it('hides no dead book: polling until the feed has one', async () => {
    const rig = await start({ hurry: 10 });
    const { exchange, symbol } = BINANCE;
    rig.sandbox.control.setFault({ venue: exchange, match: 'limit=1000', fault: { type: 'hang' } });
    const { client } = await rig.join({ channel: 'orderbook', exchange, symbol });
    await client.state('reconnecting');
    await client.state('polling');
    await client.more('orderbook', 2);
    rig.sandbox.control.clearFaults();
    await client.state('live');
    await client.more('orderbook', 3);
    expect(client.states).toEqual(['reconnecting', 'polling', 'live']);
  });
});
