// Refusals say what they mean: too many requests, a ban and its end, a place that is not served.
import { afterEach, describe, expect, it } from 'vitest';
import { reply, startFakeVenue, type FakeVenue, type ReplyFields } from '../../support/fake-venue.js';
import { resilientClient, type FakeMarket, type VenueClient } from '../../support/venue-client.js';

const NOW = Date.UTC(2026, 0, 14, 6, 15, 15);
const BTC = [{ id: 'BTCUSDT', symbol: 'BTC/USDT' }];
const MINUTES = 60_000;

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});

/** A client of a venue that refuses whatever it is asked. */
const refused = async (
  exchange: string,
  fields: ReplyFields,
  { markets, ...clock }: { readonly markets: readonly FakeMarket[]; readonly now?: () => number },
) => {
  const refusing = await startFakeVenue({ answer: () => reply(fields), ...clock });
  venue = refusing;
  const asking = resilientClient(exchange, refusing, { markets, ...clock });
  client = asking;
  const request = { kind: 'ticker', exchange, symbol: markets[0]?.symbol ?? '' } as const;
  return {
    ask: () => asking.refusal(request, { attempts: 1 }),
    coolDownUntil: () => asking.client.health()[0]?.coolDownUntil ?? null,
    requests: refusing.requests,
  };
};

/** What one ask meets. */
const refusedOnce = async (exchange: string, fields: ReplyFields, markets: readonly FakeMarket[] = BTC) => {
  const { ask, coolDownUntil } = await refused(exchange, fields, { markets });
  return { error: await ask(), coolDownUntil: coolDownUntil() };
};

/** What three asks in a row meet, and how many requests they cost. */
const refusedThrice = async (exchange: string, fields: ReplyFields, markets: readonly FakeMarket[] = BTC) => {
  const { ask, coolDownUntil, requests } = await refused(exchange, fields, { markets, now: () => NOW });
  const errors = [await ask(), await ask(), await ask()];
  return { errors, coolDownUntil: coolDownUntil(), requests: requests.length };
};

const CLOUDFRONT =
  "Request blocked. We can't connect to the server for this app or website at this time. There might be too much traffic or a configuration error.";

describe('a 403', () => {
  it.each([
    ['binance', { status: 403, body: `<html><body>${CLOUDFRONT}</body></html>` }],
    ['binance', { status: 403, body: '<html><h1>403 Forbidden</h1></html>' }],
    ['bybit', { status: 403, body: 'access too frequent' }],
    ['kucoin', { status: 403, body: { code: '403000', msg: 'Too many requests, request limit exceeded' } }],
  ] as const)('of %s for too many requests is a pause of minutes: %j', async (exchange, reply) => {
    const markets = exchange === 'kucoin' ? [{ id: 'BTC-USDT', symbol: 'BTC/USDT' }] : BTC;
    const { errors, requests, coolDownUntil } = await refusedThrice(exchange, reply, markets);
    expect(errors.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => 'upstream_rate_limited'));
    expect(requests).toBe(1);
    expect((coolDownUntil ?? 0) - NOW).toBeGreaterThanOrEqual(2 * MINUTES);
  });

  it.each([
    [
      'binance',
      `<p>The Amazon CloudFront distribution is configured to block access from your country. ${CLOUDFRONT}</p>`,
    ],
    ['bybit', { retCode: 10024, retMsg: 'The product is not available in your region.' }],
  ])('of %s that names the place is a block by place', async (exchange, body) => {
    const { error, coolDownUntil } = await refusedOnce(exchange, { status: 403, body });
    expect(error).toMatchObject({ code: 'upstream_geo_blocked' });
    expect(coolDownUntil).toBeNull();
  });

  it('that names no reason is a refusal', async () => {
    const body = '<html><h1>403 Forbidden</h1></html>';
    const kraken = [{ id: 'XXBTZUSD', symbol: 'BTC/USD' }];
    const { error } = await refusedOnce('kraken', { status: 403, body }, kraken);
    expect(error).toMatchObject({ code: 'upstream_error' });
  });
});

describe('a refusal that names its end', () => {
  const OKX = [{ id: 'BTC-USDT', symbol: 'BTC/USDT' }];
  const GATE = [{ id: 'BTC_USDT', symbol: 'BTC/USDT' }];
  const KRAKEN = [{ id: 'XXBTZUSD', symbol: 'BTC/USD' }];
  const until = NOW + 30 * MINUTES;
  const text = `Way too much request weight used; IP banned until ${until}. Please use the websocket.`;
  it.each([
    ['binance', { status: 418, body: { code: -1003, msg: text } }, BTC],
    ['binanceus', { status: 418, body: { code: -1003, msg: text } }, BTC],
    ['binance', { status: 200, body: { code: -1003, msg: text } }, BTC],
    ['binance', { status: 429, headers: { 'retry-after': '5' }, body: { code: -1003, msg: text } }, BTC],
    [
      'bybit',
      {
        status: 200,
        headers: { 'x-bapi-limit-reset-timestamp': String(until) },
        body: { retCode: 10006, retMsg: 'Too many visits!' },
      },
      BTC,
    ],
    ['okx', { status: 429, body: { code: '50011', msg: 'Too Many Requests. Try again in 30 minutes' } }, OKX],
    [
      'kucoin',
      { status: 429, headers: { 'gw-ratelimit-reset': '1800000' }, body: { code: '429000', msg: 'x' } },
      OKX,
    ],
    ['bitget', { status: 429, body: { code: '429', msg: 'Too many requests, wait 1800 seconds' } }, BTC],
    [
      'gate',
      {
        status: 429,
        headers: { 'x-gate-ratelimit-reset-timestamp': String(until / 1000) },
        body: { label: 'TOO_MANY_REQUESTS', message: 'Request Rate limit Exceeded' },
      },
      GATE,
    ],
    ['kraken', { status: 200, body: { error: [`EService:Throttled: ${until / 1000}`] } }, KRAKEN],
    ['kraken', { status: 200, body: { error: ['EAPI:Rate limit exceeded, retry after 1800 s'] } }, KRAKEN],
    [
      'htx',
      {
        status: 429,
        body: {
          status: 'error',
          'err-code': 'too-many-request',
          'err-msg': `until ${new Date(until).toISOString()}`,
        },
      },
      [{ id: 'btcusdt', symbol: 'BTC/USDT' }],
    ],
  ] as const)('%s: %j: not one request leaves before it', async (exchange, reply, markets) => {
    const { errors, requests, coolDownUntil } = await refusedThrice(exchange, reply, [...markets]);
    expect(errors[2]).toMatchObject({ code: 'upstream_rate_limited', retryAfterMs: 30 * MINUTES });
    expect(coolDownUntil).toBe(until);
    expect(requests).toBe(1);
  });
});

describe('a code in a 200', () => {
  it.each([
    ['okx', { code: '50011', msg: 'Rate limit reached' }, { id: 'BTC-USDT', symbol: 'BTC/USDT' }],
    ['bybit', { retCode: 10018, retMsg: 'Exceeded the IP Rate Limit' }, BTC[0]],
    ['kraken', { error: ['EAPI:Rate limit exceeded'] }, { id: 'XXBTZUSD', symbol: 'BTC/USD' }],
    ['kraken', { error: ['EGeneral:Temporary lockout'] }, { id: 'XXBTZUSD', symbol: 'BTC/USD' }],
    ['mexc', { code: 510, msg: 'Excessive frequency of requests' }, BTC[0]],
    [
      'htx',
      { status: 'error', 'err-code': 'api-limit', 'err-msg': 'request too frequently' },
      { id: 'btcusdt', symbol: 'BTC/USDT' },
    ],
  ])('that means too many requests at %s starts a cool-down', async (exchange, body, market) => {
    const { errors, requests } = await refusedThrice(
      exchange,
      { body },
      market === undefined ? [] : [market],
    );
    expect(errors.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => 'upstream_rate_limited'));
    expect(requests).toBe(1);
  });
});
