/** The CoinMarketCap client against the simulated service and against one that misbehaves, over loopback. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { createCoinMarketCapClient } from '../../../src/coinmarketcap/coinmarketcap-client.js';
import type { CoinMarketCapClient } from '../../../src/coinmarketcap/coinmarketcap-api.js';
import { recordingLog } from '../../support/recording-log.js';

const KEY = 'a-very-secret-key';
const HOUR = 3_600_000;
let ahead = 0;
const now = (): number => Date.now() + ahead;
let log: ReturnType<typeof recordingLog>;
let client: CoinMarketCapClient;
const open = (url: string, apiKey = KEY, reuseMs = 60_000): void => {
  log = recordingLog();
  const proxy = { https: '', http: '', no: '' };
  client = createCoinMarketCapClient({
    apiKey,
    url,
    proxy,
    userAgent: 'test',
    reuseMs,
    log,
    now,
    random: () => 0,
  });
};
const quote = (base = 'BTC', convert = 'USDT') =>
  client.quote({ base, convert }, { deadline: now() + 5_000 });
const candles = (more: object = {}) =>
  client.candles(
    { base: 'BTC', convert: 'USD', interval: '1h', limit: 3, ...more },
    { deadline: now() + 5_000 },
  );
const faultOf = async (work: Promise<unknown>): Promise<AppError> => {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw new Error('no AppError');
  return thrown;
};

beforeEach(() => {
  ahead = 0;
});
afterEach(() => client.close());

describe('against the simulated CoinMarketCap', () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await startSandbox({ ticksPerSecond: 0 });
  });
  afterEach(() => sandbox.close());
  const url = (version = '/v1'): string => `${sandbox.url}/pro-api.coinmarketcap.com${version}`;

  it.each(['', '/', '/v1', '/v2/'])(
    'a quote comes by id, whether the setting ends in %j',
    async (version) => {
      open(url(version));
      const { last, timestamp, receivedAt, raw } = await quote();
      expect(last).toBeGreaterThan(0);
      expect(timestamp).toBeLessThanOrEqual(receivedAt);
      expect(raw).toMatchObject({ id: 1, symbol: 'BTC', quote: { USDT: { price: last } } });
    },
  );

  it('a quote is used again for a minute, and the id for longer', async () => {
    open(url());
    const first = await quote();
    expect(await quote()).toBe(first);
    ahead = 60_001;
    expect(await quote()).not.toBe(first);
    expect(client.stats()).toMatchObject({ requests: 3, reused: 1, failures: 0 });
  });

  it('many callers cost one quote', async () => {
    open(url());
    await Promise.all(Array.from({ length: 100 }, () => quote('ETH')));
    expect(client.stats().requests).toBe(2);
  });

  it('an unknown currency is asked for once', async () => {
    open(url());
    for (let i = 0; i < 5; i++) expect((await faultOf(quote('NOPE'))).code).toBe('symbol_not_found');
    for (let i = 0; i < 5; i++) expect((await faultOf(quote('BTC', 'NOPE'))).code).toBe('symbol_not_found');
    expect(client.stats()).toMatchObject({ requests: 3, pausedUntil: null });
  });

  it('a plan without history is asked once, and told of once', async () => {
    open(url());
    expect(client.offersCandles('1h')).toBe(true);
    expect(client.offersCandles('1m')).toBe(false);
    await Promise.allSettled([candles(), candles({ limit: 4 })]);
    expect(client.offersCandles('1h')).toBe(false);
    const { requests } = client.stats();
    await faultOf(candles());
    expect(client.stats()).toMatchObject({ requests, historical: false });
    expect(log.lines.length).toBe(1);
    // Quotes go on.
    expect((await quote()).last).toBeGreaterThan(0);
  });

  it('a bad key is told of once, and then left in peace for an hour', async () => {
    open(url(), 'error-1001');
    for (let i = 0; i < 5; i++) await faultOf(quote());
    expect(client.stats().requests).toBe(1);
    expect(log.warnings().length).toBe(1);
    ahead = HOUR + 1;
    await faultOf(quote());
    expect(client.stats().requests).toBe(2);
  });

  it('a used-up limit is honoured', async () => {
    open(url(), 'error-1008');
    const fault = await faultOf(quote());
    expect(fault).toMatchObject({
      code: 'upstream_rate_limited',
      upstream: { exchange: 'coinmarketcap', status: 429 },
    });
    expect((await faultOf(quote())).retryAfterMs).toBeGreaterThan(0);
    expect(client.stats().requests).toBe(1);
  });
});

describe('against a service that misbehaves', () => {
  let respond: (request: IncomingMessage, response: ServerResponse) => void;
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    respond(request, response);
  });
  beforeEach(async () => {
    asked.length = 0;
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const json = (response: ServerResponse, data: unknown, status = 200): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ status: { error_code: 0 }, data }));
  };
  const map = [{ id: 1, name: 'Bitcoin', symbol: 'BTC', rank: 1 }];

  it('sends the key as a header and nowhere else', async () => {
    respond = (request, response) => json(response, request.url!.includes('map') ? map : {});
    const fault = await faultOf(quote());
    for (const { headers, url } of asked) {
      expect(headers['x-cmc_pro_api_key']).toBe(KEY);
      expect(url).not.toContain(KEY);
    }
    expect(JSON.stringify([fault, fault.message, fault.stack, log.lines])).not.toContain(KEY);
  });

  it.each(['map', 'quotes'])(
    'an endpoint that the plan lacks (%s) is asked once an hour, with one line in the log',
    async (lacking) => {
      respond = (request, response) => {
        const refused = request.url!.includes(lacking);
        if (!refused) {
          json(response, map);
          return;
        }
        response.writeHead(403, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ status: { error_code: 1006, error_message: 'plan' } }));
      };
      const refusals = () => asked.filter(({ url }) => url!.includes(lacking)).length;
      for (const base of ['BTC', 'BTC', 'BTC'])
        expect(await faultOf(quote(base))).toMatchObject({ code: 'upstream_auth_required' });
      expect(refusals()).toBe(1);
      expect(log.lines).toHaveLength(1);
      ahead = HOUR + 1;
      await faultOf(quote());
      expect(refusals()).toBe(2);
      expect(log.lines).toHaveLength(2);
    },
  );

  it.each([0, null, -1])('a price of %j is no price', async (price) => {
    respond = (request, response) =>
      json(
        response,
        request.url!.includes('map') ? map : { 1: { id: 1, symbol: 'BTC', quote: { USDT: { price } } } },
      );
    expect(await faultOf(quote())).toMatchObject({
      code: 'symbol_not_found',
      message: 'CoinMarketCap has no price of this currency.',
    });
    expect(client.stats()).toMatchObject({ pausedUntil: null });
  });

  it('understands the lists of the third version', async () => {
    const money = { symbol: 'USDT', price: 5, last_updated: '2023-11-14T22:13:20.000Z' };
    respond = (request, response) =>
      json(response, request.url!.includes('map') ? map : [{ id: 1, symbol: 'BTC', quote: [money] }]);
    expect(await quote()).toMatchObject({ last: 5, timestamp: 1_700_000_000_000 });
  });

  it.each([
    ['nothing', ''],
    ['half of it', '{"status":{"error_code":0},"da'],
    ['a page', '<html>blocked</html>'],
    ['another shape', '{"data":{"1":{"id":1}}}'],
    ['another currency', '{"data":{"2":{"id":2,"symbol":"BTC","quote":{"USDT":{"price":1}}}}}'],
  ])('takes a 200 with %s for no answer', async (_name, body) => {
    respond = (request, response) =>
      request.url!.includes('map') ? json(response, map) : response.end(body);
    expect((await faultOf(quote())).code).toBe('upstream_bad_response');
  });

  it('refuses an answer without end', async () => {
    respond = (_request, response) => {
      const more = (): void => {
        while (response.write(Buffer.alloc(256 * 1024, 32)));
        response.once('drain', more);
      };
      more();
    };
    expect((await faultOf(quote())).code).toBe('upstream_bad_response');
  });

  it.each([
    ['says nothing', () => undefined],
    ['stops within the body', (_: IncomingMessage, response: ServerResponse) => response.write('{"sta')],
  ])('does not wait past the deadline for one that %s', async (_name, behave) => {
    respond = behave;
    const fault = await faultOf(client.quote({ base: 'BTC', convert: 'USD' }, { deadline: now() + 200 }));
    expect(fault.code).toBe('upstream_timeout');
  });

  it('backs off from one that fails or hangs up', async () => {
    respond = (_request, response) => response.writeHead(503).end('<html>');
    expect((await faultOf(quote())).code).toBe('upstream_unavailable');
    expect((await faultOf(quote())).code).toBe('upstream_rate_limited');
    ahead = 600;
    respond = (_request, response) => response.destroy();
    expect((await faultOf(quote())).code).toBe('upstream_unavailable');
    expect(asked.length).toBe(2);
    expect(client.stats()).toMatchObject({ requests: 2, failures: 2 });
  });

  it('does not follow it elsewhere', async () => {
    respond = (_request, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    expect((await faultOf(quote())).code).toBe('upstream_error');
    expect(asked.length).toBe(1);
  });

  it('honours Retry-After', async () => {
    respond = (_request, response) => response.writeHead(429, { 'retry-after': '600' }).end('{}');
    expect((await faultOf(quote())).retryAfterMs).toBe(600_000);
  });

  describe('with history', () => {
    const bar = (hour: number, close: number | null = 2) => ({
      time_open: new Date(hour * HOUR).toISOString(),
      time_close: new Date((hour + 1) * HOUR - 1).toISOString(),
      quote: { USD: { open: 1, high: 3, low: 1, close, volume: 9, market_cap: 9 } },
    });
    const serve = (hours: readonly number[]): void => {
      respond = (request, response) =>
        json(
          response,
          request.url!.includes('map')
            ? map
            : { id: 1, name: 'x', symbol: 'BTC', quotes: hours.map((h) => bar(h)) },
        );
    };

    it('gives the wanted candles, oldest first, without a volume that would be another one', async () => {
      serve([103, 100, 101, 102, 104, 105]);
      const since = 101 * HOUR;
      const { candles: list } = await candles({ since });
      expect(list.map(({ timestamp }) => timestamp / HOUR)).toEqual([101, 102, 103]);
      expect(list[0]).toEqual({
        timestamp: since,
        open: 1,
        high: 3,
        low: 1,
        close: 2,
        volume: null,
        closed: true,
      });
      const { searchParams } = new URL(asked.at(-1)!.url!, 'http://x');
      expect(Object.fromEntries(searchParams)).toEqual({
        id: '1',
        convert: 'USD',
        time_period: 'hourly',
        interval: 'hourly',
        count: '6',
        time_start: new Date(99 * HOUR).toISOString(),
      });
    });

    it('gives the latest where no beginning is named, and says which is still open', async () => {
      const current = Math.floor(now() / HOUR);
      serve([current - 3, current - 2, current - 1, current]);
      const { candles: list } = await candles();
      expect(list.map(({ closed }) => closed)).toEqual([true, true, false]);
    });

    it('leaves out what it cannot read, and is no answer where nothing is left', async () => {
      respond = (request, response) => {
        const quotes = [
          { ...bar(1), time_open: 'soon' },
          { ...bar(2), quote: { EUR: bar(2).quote.USD } },
          bar(3, null),
          { ...bar(4), quote: { USD: { open: 0, high: 0, low: 0, close: 0 } } },
        ];
        json(
          response,
          request.url!.includes('map')
            ? map
            : { 1: { id: 1, quotes: request.url!.includes('count=2') ? quotes : [] } },
        );
      };
      expect((await candles({ limit: 2 })).candles).toMatchObject([{ timestamp: 3 * HOUR, close: null }]);
      expect((await faultOf(candles())).code).toBe('upstream_bad_response');
      expect((await faultOf(candles({ interval: '5m' }))).code).toBe('interval_not_supported');
    });

    it('is no answer where it is another currency’s', async () => {
      respond = (request, response) =>
        json(response, request.url!.includes('map') ? map : { id: 2, quotes: [] });
      expect((await faultOf(candles())).code).toBe('upstream_bad_response');
      expect(client.offersCandles('1d')).toBe(true);
    });

    it('is turned off by a bare 403 too', async () => {
      respond = (request, response) =>
        request.url!.includes('map') ? json(response, map) : response.writeHead(403).end('no');
      await faultOf(candles());
      expect(client.offersCandles('1d')).toBe(false);
    });
  });
});
