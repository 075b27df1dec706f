// Every fault of the table at every venue, on data and on the first load of its markets, through the whole HTTP app.
// Prints the table: `npm run test:faults`.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { buildApp } from '../../src/app/app.js';
import { loadConfig } from '../../src/config/config.js';
import { ERROR_CODES, type ErrorCode } from '../../src/errors.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { silentLog } from '../../src/log/log.js';
import { calmGauge } from '../support/app.js';
import { selfSigned, type Identity } from '../support/self-signed.js';
import { FAULTS, tableOf, VENUES, type FaultRow, type Seen, type VenueName } from './fault-matrix.js';
import { startServer } from './streams-rig.js';
import { distrustedDoor, namelessDoor, plainTextDoor, refusingDoor, type Door } from './venue-doors.js';

const UPSTREAM_TIMEOUT_S = 1;
/** Less than the shortest cool-down, which is then told rather than waited out. */
const REQUEST_TIMEOUT_S = 3.5;
/** The deadline, and some for a machine that does other things as well. */
const LATEST_MS = REQUEST_TIMEOUT_S * 1000 + 5_000;
const MARKETS = 60;
/** Of a column of the table, whose silent venues alone take half a minute. */
const MATRIX_MS = 300_000;
const DEFAULT_RETRY_AFTER_S = 1;

const settings = (sandboxUrl: string) => ({
  SANDBOX: sandboxUrl,
  EXCHANGE_WORKERS: '0',
  REDIS_ENABLED: 'false',
  ENABLED_EXCHANGES: VENUES.join(','),
  // CCXT's own spacing of a second a request would be most of what is measured.
  EXCHANGE_OPTIONS: '{"binance":{"rateLimit":1},"kraken":{"rateLimit":1},"coinbaseexchange":{"rateLimit":1}}',
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

const symbolsOf = ({ market }: Sandbox, venue: VenueName): string[] =>
  market
    .markets(venue)
    .filter(({ active }) => active)
    .map(({ symbol }) => symbol);

const startVenues = async (): Promise<Sandbox> => {
  const sandbox = await startSandbox({ marketsPerVenue: MARKETS, ticksPerSecond: 0, weightLimit: Infinity });
  closers.push(() => sandbox.close());
  return sandbox;
};

/** An app whose clock can be put forward, and right again. */
const startApp = async (sandbox: Sandbox) => {
  let ahead = 0;
  const app = await buildApp(loadConfig(settings(sandbox.url)), {
    log: silentLog,
    now: () => Date.now() + ahead,
    loadGauge: calmGauge,
  });
  closers.push(() => app.close());
  return { app, pass: (ms: number) => void (ahead += ms), setRight: () => void (ahead = 0) };
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: unknown;
  readonly ms: number;
}
const textOf = (header: unknown): string => (typeof header === 'string' ? header : '');
type Ask = (venue: string, symbol: string) => Promise<Answer>;

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

/** On a busy machine a load may take longer than a request of this server may. */
const loadMarkets = (app: FastifyInstance, venue: VenueName, symbol: string): Promise<void> =>
  expect
    .poll(async () => (await ask(app, venue, symbol)).status, { timeout: 30_000, interval: 100 })
    .toBe(200);

interface Cell {
  readonly row: FaultRow;
  readonly venue: VenueName;
  readonly on: Seen['on'];
  readonly symbol: string;
}

/** Commits the fault, asks, ends the fault, lets the time pass that the answer asked for, and asks again. */
const runCell = async (
  sandbox: Sandbox,
  server: Awaited<ReturnType<typeof startApp>>,
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

const codeAt = ({ code, codeOf }: FaultRow, venue: VenueName): ErrorCode => codeOf?.[venue] ?? code;

/** Checks a whole column at once, so that a run shows everything that is wrong. */
const check = (cells: readonly Seen[], venue: VenueName): void => {
  // Every 503 carries a Retry-After; where nobody knows better it is a second.
  const waits = FAULTS.map(
    (row) =>
      row.retryAfterOf?.[venue] ??
      row.retryAfter ??
      (ERROR_CODES[codeAt(row, venue)].status === 503 ? DEFAULT_RETRY_AFTER_S : undefined),
  );
  const wanted = FAULTS.map(
    (row, index) => `${row.name}: ${codeAt(row, venue)}, Retry-After ${waits[index] ?? '-'}, recovered`,
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

describe.each(['data', 'markets'] as const)('faults on %s', (on) => {
  const cells: Seen[] = [];

  it('are all committed', { timeout: MATRIX_MS }, async () => {
    const sandbox = await startVenues();
    for (const [index, row] of FAULTS.entries()) {
      // A server each: a guessed cool-down grows with every refusal that a server has seen. Its venues know nothing of each other.
      const server = await startApp(sandbox);
      for (const venue of VENUES) {
        server.setRight();
        const symbols = symbolsOf(sandbox, venue);
        const symbol = symbols[on === 'data' ? index % symbols.length : 0]!;
        if (on === 'data') await loadMarkets(server.app, venue, symbol);
        cells.push(await runCell(sandbox, server, { row, venue, on, symbol }));
      }
      await server.app.close();
    }
    table.push(...cells);
  });

  it.each(VENUES)(
    'are answered for %s with their code, in time, and it recovers with the next good answer',
    (venue) => {
      check(
        cells.filter((cell) => cell.venue === venue),
        venue,
      );
    },
  );
});

/** Fails at once or not at all, so a long time for an attempt costs nothing. */
const PATIENT = { UPSTREAM_TIMEOUT: '8', REQUEST_TIMEOUT: '20' };
const PATIENT_MS = 20_000;
const WORDS_OF_THE_WAY =
  /invalid\b(?!_)|127\.0\.0\.1|localhost|api\.|ENOTFOUND|ECONNREFUSED|ERR_|SSL|certificate/i;

interface Reached {
  readonly door: Door;
  readonly ask: Ask;
}

/** The built server with its worker threads, before a door. */
const throughServer = async (door: Door, trusted?: Identity): Promise<Reached> => {
  closers.push(() => door.close());
  const env: Record<string, string> = { ...settings(door.url), ...PATIENT, EXCHANGE_WORKERS: '1' };
  if (trusted !== undefined) {
    const folder = await mkdtemp(join(tmpdir(), 'venue-'));
    closers.push(() => rm(folder, { recursive: true }));
    env['NODE_EXTRA_CA_CERTS'] = join(folder, 'trusted.pem');
    await writeFile(env['NODE_EXTRA_CA_CERTS'], trusted.cert);
  }
  const server = await startServer(env);
  closers.push(() => server.close());
  return {
    door,
    ask: async (venue, symbol) => {
      const started = performance.now();
      const query = new URLSearchParams({ exchange: venue, symbol });
      const answer = await fetch(`${server.url}/v1/markets/ticker?${query.toString()}`);
      const { status, headers } = answer;
      const body: unknown = await answer.json();
      return { status, headers: Object.fromEntries(headers), body, ms: performance.now() - started };
    },
  };
};

/** The same app in this process, whose look-ups of names the door answers. */
const throughThisProcess = async (door: Door): Promise<Reached> => {
  closers.push(() => door.close());
  const app = await buildApp(loadConfig({ ...settings(door.url), ...PATIENT }), {
    log: silentLog,
    loadGauge: calmGauge,
  });
  closers.push(() => app.close());
  return { door, ask: (venue, symbol) => ask(app, venue, symbol) };
};

const WAYS: readonly [fault: string, start: (port: number) => Promise<Reached>][] = [
  ['connection refused', async (port) => throughServer(await refusingDoor(port))],
  [
    'TLS failure: no TLS',
    async (port) => {
      const identity = selfSigned();
      return throughServer(await plainTextDoor(port, identity), identity);
    },
  ],
  [
    'TLS failure: certificate',
    async (port) => {
      const trusted = selfSigned();
      return throughServer(await distrustedDoor(port, { trusted, other: selfSigned() }), trusted);
    },
  ],
  ['DNS failure', async (port) => throughThisProcess(await namelessDoor(port))],
];

describe('a venue that can not be reached at all', () => {
  it.each(WAYS)('%s: unavailable, in time, without its address, until it is back', async (fault, start) => {
    const sandbox = await startVenues();
    const { door, ask: askOver } = await start(Number(new URL(sandbox.url).port));
    const cells: Seen[] = [];
    for (const venue of VENUES) {
      const [first, second] = symbolsOf(sandbox, venue);
      for (const [on, symbol] of [
        ['markets', first!],
        ['data', second!],
      ] as const) {
        await door.shut();
        sandbox.control.resetLog();
        const { status, headers, body, ms } = await askOver(venue, symbol);
        const { requests } = sandbox.control.counters();
        await door.open();
        const recovery = await askOver(venue, symbol);
        const retryAfter = textOf(headers['retry-after']);
        const { code } = body as { code: string };
        cells.push({
          venue,
          on,
          fault,
          status,
          code,
          retryAfter,
          ms,
          requests,
          recovered: recovery.status === 200,
        });
        expect(JSON.stringify(body)).not.toMatch(WORDS_OF_THE_WAY);
      }
    }
    table.push(...cells);
    const seen = cells.map(({ ms, ...cell }) => ({ ...cell, inTime: ms < PATIENT_MS }));
    expect(seen).toEqual(
      VENUES.flatMap((venue) =>
        (['markets', 'data'] as const).map((on) => ({
          venue,
          on,
          fault,
          status: 503,
          code: 'upstream_unavailable',
          retryAfter: String(DEFAULT_RETRY_AFTER_S),
          requests: 0,
          recovered: true,
          inTime: true,
        })),
      ),
    );
  });
});
