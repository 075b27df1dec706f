// CCXT renames currencies; the venue's feeds don't (public report: Kraken's LUNA is two coins).
import { afterEach, describe, expect, it } from 'vitest';
import { startFakeVenue, type FakeVenue } from '../../support/fake-venue.js';
import { venueClient, type VenueClient } from '../../support/venue-client.js';

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});

const pair = (code: string) => ({
  altname: `${code}USD`,
  wsname: `${code}/USD`,
  base: code === 'XBT' ? 'XXBT' : code,
  quote: 'ZUSD',
  status: 'online',
  pair_decimals: 5,
  lot_decimals: 8,
});
const PRICES = new Map([
  ['LUNA/USD', 0.0000605],
  ['LUNA2/USD', 0.2512],
  ['BTC/USD', 42500],
]);

describe('Kraken', () => {
  it.each([
    ['LUNA/USD', 'LUNA2/USD', 0.2512],
    ['LUNC/USD', 'LUNA/USD', 0.0000605],
    ['BTC/USD', 'BTC/USD', 42500],
  ])(
    '%s: is subscribed as %s and brings its own price, with the message as it came',
    async (symbol, name, last) => {
      venue = await startFakeVenue({
        answer: ({ path }) => {
          if (path.endsWith('/Assets'))
            return {
              error: [],
              result: Object.fromEntries(
                ['LUNA', 'LUNA2', 'XXBT', 'ZUSD'].map((id) => [
                  id,
                  { altname: id.replace(/^X|^Z/, ''), decimals: 8 },
                ]),
              ),
            };
          return {
            error: [],
            result: { LUNAUSD: pair('LUNA'), LUNA2USD: pair('LUNA2'), XBTUSD: pair('XBT') },
          };
        },
        onFrame: (frame, socket) => {
          const { params } = frame as { params: { symbol: string[] } };
          for (const symbol of params.symbol)
            socket.send(
              JSON.stringify({
                channel: 'ticker',
                type: 'snapshot',
                data: [{ symbol, last: PRICES.get(symbol) }],
              }),
            );
        },
      });
      client = venueClient('kraken', venue);
      const feed = client.watch({ channel: 'ticker', exchange: 'kraken', symbol });
      const item = await feed.item(1);
      expect(item).toMatchObject({ channel: 'ticker', last });
      expect(item).toMatchObject({ rawJson: JSON.stringify({ symbol: name, last: PRICES.get(name) }) });
      expect(venue.frames).toMatchObject([
        { method: 'subscribe', params: { channel: 'ticker', symbol: [name] } },
      ]);
    },
  );
});

describe('bithumb, whose feeds are subscribed by currency code', () => {
  it('refuses the feed of a renamed currency, so that it is polled', async () => {
    venue = await startFakeVenue({ answer: () => [{ market: 'KRW-FTC' }, { market: 'KRW-BTC' }] });
    client = venueClient('bithumb', venue);
    // CCXT's commonCurrencies: bithumb's FTC is FTC2.
    const feed = client.watch({ channel: 'ticker', exchange: 'bithumb', symbol: 'FTC2/KRW' });
    expect(await feed.ended()).toMatchObject({ code: 'not_supported_by_exchange', status: 400 });
    expect(venue.sockets.size).toBe(0);
  });
});
