// Each row of the table of errors in docs/ccxt.md as the contract's code, over the real CCXT and the venues' own wire formats.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MarketRequest } from '../../../src/exchanges/exchange-client.js';
import type { FaultRule } from '../../../src/sandbox/faults.js';
import { startVenues, symbolOf, VENUES, type VenueName, type Venues } from './venue-fixture.js';

type Fault = FaultRule['fault'];
const status = (code: number, body?: string): Fault => ({
  type: 'status',
  status: code,
  ...(body === undefined ? undefined : { body }),
});
const PAGE = '<!DOCTYPE html><html><body>Access denied</body></html>';
const JSON_ERROR: Record<VenueName, string> = {
  binance: '{"code":-1000,"msg":"An unknown error occured while processing the request."}',
  kraken: '{"error":["EGeneral:Internal error"]}',
  coinbaseexchange: '{"message":"something else"}',
};

const ANYWHERE: readonly (readonly [string, Fault, string])[] = [
  ['400 without a word', status(400, ''), 'upstream_error'],
  ['401', status(401, '{"message":"no key"}'), 'upstream_auth_required'],
  // A 403 that names no place is a limit on requests or a mere refusal: refusals.test.ts.
  ['403 with a page', status(403, '<html>blocked from your country</html>'), 'upstream_geo_blocked'],
  ['404 with a page', status(404, PAGE), 'upstream_error'],
  ['408', status(408, ''), 'upstream_timeout'],
  ['422', status(422, '{}'), 'upstream_error'],
  [
    '451',
    status(451, '{"code":0,"msg":"Service unavailable from a restricted location"}'),
    'upstream_geo_blocked',
  ],
  ['500', status(500, ''), 'upstream_unavailable'],
  ['502 with a page', status(502, PAGE), 'upstream_unavailable'],
  ['503', status(503, ''), 'upstream_unavailable'],
  ['503 for maintenance', status(503, '<html>Scheduled maintenance</html>'), 'upstream_maintenance'],
  ['504', status(504, PAGE), 'upstream_unavailable'],
  ['520', status(520, ''), 'upstream_unavailable'],
  ['521 with JSON', status(521, '[]'), 'upstream_unavailable'],
  ['799 with JSON that looks well', status(799, '{"price":"1"}'), 'upstream_error'],
  ['204', status(204, ''), 'upstream_bad_response'],
  [
    'a redirect',
    { type: 'status', status: 302, headers: { location: 'http://127.0.0.1:1/' } },
    'upstream_bad_response',
  ],
  ['a reset before the headers', { type: 'reset' }, 'upstream_unavailable'],
  [
    'the venue’s word for unknown symbols',
    { type: 'venue_error', name: 'unknown_symbol' },
    'symbol_not_found',
  ],
  ['the venue’s word for bad intervals', { type: 'venue_error', name: 'bad_interval' }, 'upstream_error'],
  ['the venue’s geo-block', { type: 'venue_error', name: 'geo_block' }, 'upstream_geo_blocked'],
  ['the venue’s word for an outage', { type: 'venue_error', name: 'unavailable' }, 'upstream_unavailable'],
  ['the venue’s maintenance', { type: 'venue_error', name: 'maintenance' }, 'upstream_maintenance'],
];

describe.each(VENUES)('%s', (exchange) => {
  const request: MarketRequest = { kind: 'ticker', exchange, symbol: symbolOf(exchange) };
  let here: Venues;
  beforeAll(async () => {
    here = await startVenues({ upstreamTimeoutMs: 2000 });
    await here.ask(request);
  });
  afterAll(() => here.close());
  beforeEach(() => here.sandbox.control.clearFaults());

  it.each(ANYWHERE)('%s', async (name, fault, code) => {
    here.sandbox.control.setFault({ match: 'ticker', fault, times: 1 });
    const error = await here.refusal(request);
    expect(error, name).toMatchObject({ name: 'AppError', code, upstream: { exchange } });
    if (fault.type === 'status') expect(error.upstream?.status).toBe(fault.status);
    expect(error.message).not.toMatch(/http|127\.0|</);
    expect(await here.ask(request)).toMatchObject({ exchange });
  });

  it('a call for keys in the words of the venue', async () => {
    const words: Fault =
      exchange === 'binance'
        ? status(400, '{"code":-2014,"msg":"API-key format invalid."}')
        : { type: 'venue_error', name: 'auth' };
    here.sandbox.control.setFault({ match: 'ticker', fault: words, times: 1 });
    expect(await here.refusal(request)).toMatchObject({ code: 'upstream_auth_required' });
  });

  it('an error that the venue words and nobody knows', async () => {
    here.sandbox.control.setFault({ match: 'ticker', fault: status(400, JSON_ERROR[exchange]), times: 1 });
    expect(['upstream_error', 'upstream_unavailable']).toContain((await here.refusal(request)).code);
  });
});

describe.each(VENUES)('%s that has had enough', (exchange) => {
  const request: MarketRequest = { kind: 'ticker', exchange, symbol: symbolOf(exchange) };

  it.each([
    ['429 with seconds', { type: 'status', status: 429, retryAfter: 7 }, 7000],
    ['429 with a date', { type: 'status', status: 429, retryAfter: 'http-date:30' }, 30_000],
    ['429 without a word', { type: 'status', status: 429 }, 5000],
    ['418 with seconds', { type: 'status', status: 418, retryAfter: 60 }, 60_000],
    ['its own words', { type: 'venue_error', name: 'rate_limit' }, 5000],
  ] as const)('%s: says when to ask again, and is left alone until then', async (_, fault, wait) => {
    const here = await startVenues({}, { now: Date.now });
    try {
      await here.ask(request);
      here.sandbox.control.setFault({ venue: exchange, fault, times: 1 });
      const error = await here.refusal(request);
      expect(error).toMatchObject({ code: 'upstream_rate_limited', upstream: { exchange } });
      expect(error.retryAfterMs).toBeGreaterThan(wait - 2100);
      expect(error.retryAfterMs).toBeLessThanOrEqual(Math.max(wait, 60_000));
      const sent = here.requests().length;
      expect(await here.refusal(request)).toMatchObject({ code: 'upstream_rate_limited' });
      expect(here.requests()).toHaveLength(sent);
      expect(
        here.venues.gateStates().find((state) => state.exchange === exchange)?.coolDownUntil,
      ).not.toBeNull();
    } finally {
      await here.close();
    }
  });
});

describe('a venue that is not there', () => {
  it.each([
    ['refuses connections', 'http://127.0.0.1:1'],
    ['has no address', 'http://no-such-venue.invalid'],
  ])('%s', async (_, sandboxUrl) => {
    const here = await startVenues({ sandboxUrl, upstreamTimeoutMs: 1500 });
    const error = await here.refusal({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' });
    expect(['upstream_unavailable', 'upstream_timeout']).toContain(error.code);
    await here.close();
  });

  it('speaks no TLS, or no HTTP', async () => {
    const { createServer } = await import('node:net');
    const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    for (const scheme of ['http', 'https']) {
      const here = await startVenues({ sandboxUrl: `${scheme}://127.0.0.1:${port}` });
      const error = await here.refusal({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' });
      expect(error, scheme).toMatchObject({ code: 'upstream_unavailable' });
      await here.close();
    }
    server.close();
  });
});
