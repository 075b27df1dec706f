// Every fault of the table at every venue, on data and on the first load of its markets, through the whole HTTP app.
// Prints the table: `npm run test:faults`.
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { buildApp } from '../../src/app.js';
import { loadConfig } from '../../src/config.js';
import { ERROR_CODES } from '../../src/errors.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { silentLog } from '../../src/services/log.js';
import { FAULTS, tableOf, VENUES, type FaultRow, type Seen, type VenueName } from './fault-matrix.js';

const UPSTREAM_TIMEOUT_S = 0.4;
const REQUEST_TIMEOUT_S = 2.5;
/** The deadline, and some for a machine that does other things as well. */
const LATEST_MS = REQUEST_TIMEOUT_S * 1000 + 1500;
const MARKETS = 60;
const DEFAULT_RETRY_AFTER_S = 1;

const config = (sandboxUrl: string) =>
  loadConfig({
    SANDBOX: sandboxUrl,
    EXCHANGE_WORKERS: '0',
    REDIS_ENABLED: 'false',
    ENABLED_EXCHANGES: VENUES.join(','),
    // CCXT's own spacing of a second a request would be most of what is measured.
    EXCHANGE_OPTIONS:
      '{"binance":{"rateLimit":1},"kraken":{"rateLimit":1},"coinbaseexchange":{"rateLimit":1}}',
    RATE_LIMIT_REQUESTS: '10000',
    TICKER_CACHE_TTL: '0',
    STALE_IF_ERROR: '0',
    MAX_RETRIES: '1',
    INITIAL_BACKOFF: '0.02',
    UPSTREAM_TIMEOUT: String(UPSTREAM_TIMEOUT_S),
    REQUEST_TIMEOUT: String(REQUEST_TIMEOUT_S),
  });

const closers: (() => Promise<unknown>)[] = [];
const closeAll = async () => {
  for (const close of closers.splice(0).reverse()) await close();
};
afterEach(closeAll);

interface Rig {
  readonly sandbox: Sandbox;
  readonly symbols: readonly string[];
  app(): Promise<{ app: FastifyInstance; pass: (ms: number) => void }>;
}

const startRig = async (venue: VenueName): Promise<Rig> => {
  const sandbox = await startSandbox({ marketsPerVenue: MARKETS, ticksPerSecond: 0, weightLimit: Infinity });
  closers.push(() => sandbox.close());
  const symbols = sandbox.market
    .markets(venue)
    .filter(({ active }) => active)
    .map(({ symbol }) => symbol);
  return {
    sandbox,
    symbols,
    app: async () => {
      let ahead = 0;
      const app = await buildApp(config(sandbox.url), { log: silentLog, now: () => Date.now() + ahead });
      closers.push(() => app.close());
      return { app, pass: (ms) => void (ahead += ms) };
    },
  };
};

const ask = async (app: FastifyInstance, venue: string, symbol: string) => {
  const started = performance.now();
  const answer = await app.inject({ url: '/v1/markets/ticker', query: { exchange: venue, symbol } });
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: answer.json(),
    ms: performance.now() - started,
  };
};

interface Cell {
  readonly row: FaultRow;
  readonly venue: VenueName;
  readonly on: Seen['on'];
  readonly symbol: string;
}

/** Commits the fault, asks, ends the fault, lets the time pass that the answer asked for, and asks again. */
const runCell = async (
  { sandbox }: Rig,
  server: Awaited<ReturnType<Rig['app']>>,
  cell: Cell,
): Promise<Seen> => {
  const { row, venue, on, symbol } = cell;
  const { app, pass } = server;
  sandbox.control.setFault({ venue, match: on === 'data' ? 'ticker' : 'markets', fault: row.fault });
  sandbox.control.resetLog();
  const { status, headers, body, ms } = await ask(app, venue, symbol);
  const requests = sandbox.control.counters().requests;
  if (body.code === 'upstream_rate_limited') {
    // Cooling down: asking again is answered from here, and not one more request leaves.
    const again = await ask(app, venue, symbol);
    expect(again.body, `${venue}, ${row.name}, during the cool-down`).toMatchObject({
      code: 'upstream_rate_limited',
    });
    expect(sandbox.control.counters().requests, `${venue}, ${row.name}: requests during the cool-down`).toBe(
      requests,
    );
  }
  sandbox.control.clearFaults();
  if (typeof body.retry_after_ms === 'number') pass(body.retry_after_ms);
  const recovery = await ask(app, venue, symbol);
  return {
    venue,
    on,
    fault: row.name,
    status,
    code: String(body.code),
    retryAfter: headers['retry-after'] ?? '',
    ms,
    requests,
    recovered: recovery.status === 200,
  };
};

const table: Seen[] = [];
afterAll(() => {
  console.log(tableOf(table));
});

/** Checks a whole column at once, so that a run shows everything that is wrong. */
const check = (cells: readonly Seen[], venue: VenueName): void => {
  // Every 503 carries a Retry-After; where nobody knows better it is a second.
  const waits = FAULTS.map(
    (row) =>
      row.retryAfterOf?.[venue] ??
      row.retryAfter ??
      (ERROR_CODES[row.code].status === 503 ? DEFAULT_RETRY_AFTER_S : undefined),
  );
  const wanted = FAULTS.map(
    ({ name, code }, index) => `${name}: ${code}, Retry-After ${waits[index] ?? '-'}, recovered`,
  );
  const got = cells.map(({ fault, code, retryAfter, recovered }, index) => {
    const wait = waits[index];
    // A second or two may pass between the refusal and its answer.
    const near = wait !== undefined && Number(retryAfter) >= wait - 2 && Number(retryAfter) <= wait + 1;
    const shown = near ? wait : retryAfter === '' ? '-' : retryAfter;
    return `${fault}: ${code}, Retry-After ${shown}, ${recovered ? 'recovered' : 'NOT RECOVERED'}`;
  });
  expect(got).toEqual(wanted);
  for (const { ms, fault } of cells) expect(ms, fault).toBeLessThan(LATEST_MS);
};

describe.each(VENUES)('%s', (venue) => {
  it('answers every fault on data with its code, in time, and recovers with the next good answer', async () => {
    const rig = await startRig(venue);
    const cells: Seen[] = [];
    for (const [index, row] of FAULTS.entries()) {
      // A server each: a guessed cool-down grows with every refusal that a server has seen.
      const server = await rig.app();
      const symbol = rig.symbols[index % rig.symbols.length]!;
      expect((await ask(server.app, venue, symbol)).status).toBe(200);
      cells.push(await runCell(rig, server, { row, venue, on: 'data', symbol }));
      await server.app.close();
    }
    table.push(...cells);
    check(cells, venue);
  });

  it('answers every fault on the first load of its markets likewise', async () => {
    const rig = await startRig(venue);
    const cells: Seen[] = [];
    for (const row of FAULTS) {
      const server = await rig.app();
      cells.push(await runCell(rig, server, { row, venue, on: 'markets', symbol: rig.symbols[0]! }));
      await server.app.close();
    }
    table.push(...cells);
    check(cells, venue);
  });
});

describe('a venue that can not be reached at all', () => {
  /** Answers a TLS greeting with what is none. */
  const noTls = async (): Promise<string> => {
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  it.each([
    ['DNS failure', () => Promise.resolve('http://venue.invalid')],
    ['connection refused', () => Promise.resolve('http://127.0.0.1:1')],
    ['TLS failure', noTls],
  ])('%s: unavailable, in time, without a word on where', async (fault, start) => {
    const url = await start();
    const app = await buildApp(config(url), { log: silentLog });
    closers.push(() => app.close());
    for (const venue of VENUES) {
      const { status, body, ms, headers } = await ask(app, venue, 'BTC/USD');
      table.push({
        venue,
        on: 'markets',
        fault,
        status,
        code: body.code,
        retryAfter: headers['retry-after'] ?? '',
        ms,
        requests: 0,
        recovered: true,
      });
      expect({ status, code: body.code }).toEqual({ status: 503, code: 'upstream_unavailable' });
      expect(ms).toBeLessThan(LATEST_MS);
      expect(JSON.stringify(body)).not.toMatch(/invalid\b(?!_)|127\.0\.0\.1|api\.|ENOTFOUND|ECONNREFUSED/);
    }
  });
});
