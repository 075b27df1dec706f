import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { withUpstreamCall, type UpstreamCall } from '../../../../../src/exchanges/ccxt/call-context.js';
import { createDispatcher, NO_PROXIES } from '../../../../../src/exchanges/ccxt/http/transport.js';
import { MAX_BODY_BYTES } from '../../../../../src/exchanges/ccxt/http/response-body.js';
import { createTransport } from '../../../../../src/exchanges/ccxt/http/transport.js';
import { createVenueClock } from '../../../../../src/lib/venue-clock.js';
import { createUpstreamGate } from '../../../../../src/exchanges/rate-limit/exchange-gate.js';
import type {
  AdmitRequest,
  UpstreamGate,
  UpstreamOutcome,
} from '../../../../../src/exchanges/rate-limit/upstream-gate.js';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const start = async (listener: RequestListener, timeoutMs = 2000, now: () => number = Date.now) => {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const real = createUpstreamGate({ budget: { requests: 100, windowMs: 60_000 }, now: Date.now });
  const admitted: AdmitRequest[] = [];
  const outcomes: UpstreamOutcome[] = [];
  const gate: UpstreamGate = {
    admit: (request) => {
      admitted.push(request);
      return real.admit(request);
    },
    book: (request) => real.book(request),
    close: () => real.close(),
    report: (exchange, outcome) => {
      outcomes.push(outcome);
      real.report(exchange, outcome);
    },
    state: (exchange) => real.state(exchange),
  };
  const dispatcher = createDispatcher(NO_PROXIES, timeoutMs);
  const clock = createVenueClock(now, now);
  const transport = createTransport({
    exchange: 'kraken',
    dispatcher,
    gate,
    clock,
    timeoutMs,
    userAgent: 'us/1',
    words: { unknownSymbol: null, forbiddenIsTooFrequent: false },
    now,
    monotonic: Date.now,
  });
  ends.push(async () => {
    await dispatcher.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/0/public/Ticker`;
  return { url, transport, admitted, outcomes, clock };
};

const call = (rest: Partial<UpstreamCall> = {}): UpstreamCall => ({
  kind: 'data',
  priority: 'caller',
  deadline: Date.now() + 60_000,
  ...rest,
});
const ok =
  (body: string | Buffer, headers: Record<string, string> = {}): RequestListener =>
  (_, reply) => {
    reply.writeHead(200, headers).end(body);
  };

describe('a request to a venue', () => {
  it('goes out under our name, once, with what CCXT wants sent', async () => {
    let seen: Record<string, unknown> = {};
    const { url, transport } = await start((request, reply) => {
      seen = { method: request.method, ...request.headers };
      reply.end('{"a":1}');
    });
    await transport(url, { method: 'POST', headers: { 'User-Agent': 'Chrome', 'X-Own': '1' }, body: 'x=1' });
    expect(seen).toMatchObject({ method: 'POST', 'user-agent': 'us/1', 'x-own': '1', 'content-length': '3' });
    await expect(transport(url, { method: 'BREW' })).rejects.toMatchObject({ code: 'internal_error' });
  });

  it('passes the gate with what its call carries, or as a poll of CCXT’s own', async () => {
    const { url, transport, admitted, outcomes } = await start(ok('{"a":1}'));
    const own = call({ kind: 'markets', deadline: Date.now() + 5000 });
    await withUpstreamCall(own, () => transport(url, {}));
    await transport(url, {});
    expect(admitted[0]).toMatchObject({ ...own, exchange: 'kraken' });
    expect(admitted[1]).toMatchObject({ kind: 'data', priority: 'poll' });
    // Good JSON is reported by whoever judges it.
    expect(outcomes).toEqual([]);
  });

  it.each([
    ['plain', (text: string) => text, undefined],
    ['gzip', gzipSync, 'gzip'],
    ['x-gzip', gzipSync, 'x-gzip'],
    ['deflate', deflateSync, 'deflate'],
    ['brotli', brotliCompressSync, 'br'],
    ['raw deflate', deflateRawSync, 'deflate'],
    ['gzip without a header', gzipSync, undefined],
    ['plain, called none,', (text: string) => Buffer.from(text), 'none'],
    ['plain, called by its charset,', (text: string) => Buffer.from(text), 'utf-8'],
    ['plain, under an empty header,', (text: string) => Buffer.from(text), ''],
    ['gzip beside identity', gzipSync, 'gzip, identity'],
    ['gzip after identity', gzipSync, 'Identity,GZIP'],
    ['twice compressed', (text: string) => gzipSync(deflateSync(text)), 'deflate, gzip'],
    ['once compressed, twice labelled', gzipSync, 'gzip, gzip'],
    ['twice compressed, once labelled', (text: string) => gzipSync(gzipSync(text)), 'gzip'],
  ] as const)('reads %s bodies, small and large', async (_, encode, encoding) => {
    // Noise, so that the large one stays large when compressed.
    const noise = (length: number): string =>
      Array.from({ length }, (_unused, index) => ((index * 2654435761) >>> 0).toString(36)).join('');
    for (const length of [1, 40_000]) {
      const text = JSON.stringify({ a: noise(length), umlaut: 'ä' });
      const { url, transport } = await start(
        ok(encode(text), encoding === undefined ? {} : { 'content-encoding': encoding }),
      );
      const { json, body, status } = await transport(url, {});
      expect({ json, body, status }).toEqual({ json: JSON.parse(text), body: text, status: 200 });
    }
  });

  it.each([
    ['gzip cut short', gzipSync('{"a":1}').subarray(0, 12), 'gzip'],
    ['no gzip at all', Buffer.from('{"a":1}'), 'gzip'],
    ['an unknown encoding', Buffer.from('{"a":1}'), 'zstd'],
    ['a bomb', gzipSync(Buffer.alloc(MAX_BODY_BYTES + 1, 32)), 'gzip'],
  ])('%s is a bad response', async (_, body, encoding) => {
    const { url, transport, outcomes } = await start(ok(body, { 'content-encoding': encoding }), 20_000);
    await expect(transport(url, {})).rejects.toMatchObject({ code: 'upstream_bad_response' });
    expect(outcomes).toEqual([{ status: null, headers: {}, bodyThrottled: false, retryAfterMs: null }]);
  });

  it('is a bad response beyond the size that any venue needs', async () => {
    const { url, transport } = await start((_, reply) => {
      reply.writeHead(200);
      const chunk = Buffer.alloc(1024 * 1024, 32);
      const write = (): void => {
        while (!reply.destroyed && reply.write(chunk));
        if (!reply.destroyed) reply.once('drain', write);
      };
      write();
    }, 20_000);
    await expect(transport(url, {})).rejects.toMatchObject({ code: 'upstream_bad_response' });
  });

  it('follows no redirect', async () => {
    let hits = 0;
    const { url, transport } = await start((request, reply) => {
      hits += 1;
      reply.writeHead(302, { location: request.url ?? '/' }).end('{"a":1}');
    });
    await expect(transport(url, {})).rejects.toMatchObject({
      code: 'upstream_bad_response',
      upstream: { status: 302 },
    });
    expect(hits).toBe(1);
  });

  it('ends by its time, whatever stands still, and takes its socket with it', async () => {
    for (const stall of ['headers', 'body']) {
      let gone: () => void = () => undefined;
      const socketGone = new Promise<void>((resolve) => (gone = resolve));
      const { url, transport, outcomes } = await start((request, reply) => {
        request.socket.once('close', gone);
        if (stall === 'body') reply.writeHead(200, { 'content-length': '100' }).write('{"a":');
      }, 200);
      await expect(transport(url, {})).rejects.toMatchObject({ code: 'upstream_timeout' });
      await socketGone;
      expect(outcomes).toHaveLength(1);
    }
  });

  it('ends by its call’s deadline or signal where those come first', async () => {
    const { url, transport } = await start(() => undefined, 30_000);
    const soon = call({ deadline: Date.now() + 100 });
    await expect(withUpstreamCall(soon, () => transport(url, {}))).rejects.toMatchObject({
      code: 'upstream_timeout',
    });
    const late = call({ deadline: Date.now() - 1 });
    await expect(withUpstreamCall(late, () => transport(url, {}))).rejects.toMatchObject({
      name: 'AppError',
      upstream: { exchange: 'kraken' },
    });
    const controller = new AbortController();
    const aborted = withUpstreamCall(call({ signal: controller.signal }), () => transport(url, {}));
    setTimeout(() => controller.abort(), 20);
    await expect(aborted).rejects.toMatchObject({ code: 'upstream_timeout' });
  });

  it('tells the gate of a refusal before anybody else hears of it', async () => {
    const { url, transport, outcomes } = await start((_, reply) => {
      reply.writeHead(429, { 'retry-after': '9', 'set-cookie': ['a=1', 'b=2'] }).end('slow down');
    });
    const error = await transport(url, {}).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'upstream_rate_limited',
      upstream: { exchange: 'kraken', status: 429 },
    });
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(8000);
    expect(outcomes).toMatchObject([
      { status: 429, headers: { 'retry-after': '9', 'set-cookie': 'a=1, b=2' } },
    ]);
    await expect(transport(url, {})).rejects.toMatchObject({ code: 'upstream_rate_limited' });
    expect(outcomes).toHaveLength(1);
  });

  it('learns the venue’s clock from its answers', async () => {
    const ahead = Date.now() + 3_600_000;
    const { url, transport, clock } = await start(ok('{"a":1}', { date: new Date(ahead).toUTCString() }));
    await transport(url, {});
    expect(Math.abs(clock.now() - ahead)).toBeLessThan(3000);
  });

  it('takes no slow body for a difference between the clocks', async () => {
    let at = Date.UTC(2026, 0, 1);
    const date = new Date(at).toUTCString();
    let finish: (() => void) | undefined;
    let seen = (): void => undefined;
    const observed = new Promise<void>((resolve) => (seen = resolve));
    const { url, transport, clock } = await start(
      (_, reply) => {
        reply.writeHead(200, { date }).write('{"a":');
        finish = () => void reply.end('1}');
      },
      2000,
      () => at,
    );
    const observe = clock.observe.bind(clock);
    clock.observe = (headers, receivedAt) => {
      observe(headers, receivedAt);
      seen();
    };
    const answer = transport(url, {});
    // The clock is read before the body is here, or this waits for ever.
    await observed;
    at += 4_000;
    finish?.();
    expect(await answer).toMatchObject({ json: { a: 1 } });
    expect(clock.now()).toBe(at);
  });

  it('takes an answer out of a cache for as old as its Age says', async () => {
    const at = Date.UTC(2026, 0, 1);
    const headers = { date: new Date(at - 50_000).toUTCString(), age: '50' };
    const { url, transport, clock } = await start(ok('{"a":1}', headers), 2000, () => at);
    await transport(url, {});
    expect(clock.now()).toBe(at);
  });
});
