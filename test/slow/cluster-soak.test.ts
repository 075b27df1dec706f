/**
 * Two built servers that share 10,000 topics over a Redis for an hour: nothing that they or Redis hold grows. SOAK_MINUTES (60)
 * says for how long, SOAK_TOPICS (10,000) how many, SOAK_SHARED (0.2) of which part both have clients.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { steadyNow } from '../../src/lib/steady-clock.js';
import type { ExchangeId } from '../../src/sandbox/listings.js';
import { Fleet, type FleetServer } from '../support/server-fleet.js';
import {
  Audience,
  sampleRedis,
  sampleServer,
  slopePerHour,
  type Sample,
  type Topic,
} from './cluster-soak-rig.js';

const preload = (name: string): string => new URL(`./${name}`, import.meta.url).href;

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 60);
const TOPICS = Number(process.env['SOAK_TOPICS'] ?? 10_000);
/**
 * Of all topics, the part that clients of both servers want: one feeds them, the other follows it. The rest have clients of one:
 * 10,000 that both want take more than two cores.
 */
const SHARED = Number(process.env['SOAK_SHARED'] ?? 0.2);
const SAMPLE_MS = Math.max(60_000, (MINUTES * 60_000) / 30);
const VENUES = ['binance', 'kraken', 'coinbaseexchange'] as const;
const TICKS_PER_SECOND = 0.1;
/**
 * Of binance, of which a server may have 4,000 (4 connections of 1,000): as many as one can have while the other is away. Most
 * are its tickers and candles, the rest its trades and order books, whose events are larger, and dearer to simulate.
 */
const OF_BINANCE = Math.round(TOPICS * 0.4);
const OF_LARGE_EVENTS = Math.ceil(OF_BINANCE / 20);
const SYMBOLS = OF_BINANCE / 2 - OF_LARGE_EVENTS;
/** Tickers of each other venue. */
const OF_OTHER_VENUES = (TOPICS - OF_BINANCE) / 2;
/** CCXT would send Kraken a subscription a second, and the opening alone would last for half an hour. */
const UNPACED = Object.fromEntries(VENUES.map((venue) => [venue, { rateLimit: 1 }]));
/**
 * Node's options for thousands of topics on two cores (docs/scaling.md): else each process has four threads that collect
 * garbage beside those that serve, which wait for a core meanwhile for as long as a lease is valid.
 */
const FEW_CORES = [
  '--v8-pool-size=1',
  '--max-semi-space-size=32',
  `--import=${preload('few-cores.js')}`,
].join(' ');
/** Of a server (docs/scaling.md, for few cores). */
const LEASE_SECONDS = '4';
/** Opened before the next are: thousands at once take a server so long that markets of one event in ten seconds seem dead. */
const AT_ONCE = 100;
/** Events of trades that Redis keeps: full long before the second half begins. */
const HISTORY = 50;
const PATIENT = { timeout: 900_000, interval: 1_000 };

/**
 * A leak keeps at least a pointer of each event, or of the few that it leaks of: 8 bytes × 1,000 events a second are 29 MB
 * an hour. Half of that is what a heap after a collection may seem to grow by; resident memory, which is not given back
 * at once, by the whole.
 */
const POINTER_BYTES = 8;
const EVENTS_PER_HOUR = TOPICS * TICKS_PER_SECOND * 3_600;
const MAX_HEAP_SLOPE = (POINTER_BYTES / 2) * EVENTS_PER_HOUR;
const MAX_RESIDENT_SLOPE = POINTER_BYTES * EVENTS_PER_HOUR;
/** What waits at any time is what a second brings, of about half a kB each. */
const MAX_PENDING = TOPICS * TICKS_PER_SECOND * 512;

/** Before, caches and histories fill up, and slopes say nothing: a shorter run only prints them. */
const JUDGED_FROM_MINUTES = 40;

const MB = 1_048_576;

test(
  `${TOPICS} topics over two servers for ${MINUTES} minutes: memory and all that is pending stay flat`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'soak-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const fleet = await Fleet.start({
      marketsPerVenue: Math.max(SYMBOLS, OF_OTHER_VENUES) + 20,
      ticksPerSecond: TICKS_PER_SECOND,
    });
    onTestFinished(() => fleet.close());
    const readings = (at: number): string => join(folder, `s${at + 1}`);
    const serverOf = (at: number): Promise<FleetServer> => {
      writeFileSync(readings(at), '');
      return fleet.server({
        NODE_OPTIONS: `${FEW_CORES} --import=${preload('heap-readings.js')}`,
        ...{ SOAK_READINGS: readings(at), SOAK_EVERY_MS: String(SAMPLE_MS) },
        ...{ UPSTREAM_TIMEOUT: '60', REQUEST_TIMEOUT: '120', BUS_LEASE: LEASE_SECONDS },
        ...{ BUS_HISTORY: String(HISTORY), CLIENT_RATE_LIMIT_REQUESTS: '0' },
        ENABLED_EXCHANGES: VENUES.join(','),
        ...{ RATE_LIMIT_REQUESTS: '1000000', EXCHANGE_OPTIONS: JSON.stringify(UNPACED) },
      });
    };
    const servers = [await serverOf(0), await serverOf(1)];
    // A list of so many markets takes a while to load.
    for (const { url } of servers) {
      const status = async () =>
        (await fetch(`${url}/v1/markets/ticker?exchange=binance&symbol=BTC/USDT`)).status;
      await expect.poll(status, PATIENT).toBe(200);
    }
    const of = (exchange: ExchangeId, channel: Topic['channel'], count: number): Topic[] =>
      fleet.symbols(count, exchange).map((symbol) => ({ exchange, channel, symbol }));
    const topics = [
      // Dear to simulate at their opening: before all others want their events.
      ...(['trades', 'orderbook'] as const).flatMap((channel) => of('binance', channel, OF_LARGE_EVENTS)),
      ...(['ticker', 'ohlcv'] as const).flatMap((channel) => of('binance', channel, SYMBOLS)),
      ...(['kraken', 'coinbaseexchange'] as const).flatMap((exchange) =>
        of(exchange, 'ticker', OF_OTHER_VENUES),
      ),
    ];
    const audiences = servers.map(() => new Audience());
    onTestFinished(() => audiences.forEach((audience) => audience.close()));
    const silent = (within: number, of = topics): number[] =>
      audiences.map((audience) => audience.silent(of, within).length);
    const openedAt = steadyNow();
    // Each server owns what its clients ask for first, and follows the rest.
    for (let from = 0; from < TOPICS; from += AT_ONCE) {
      const next = topics.slice(from, from + AT_ONCE);
      const halves = [0, 1].map((half) => next.filter((_topic, at) => at % 2 === half));
      await Promise.all(servers.map((server, at) => audiences[at]!.open(server, halves[at]!)));
      const shared = halves.map((half) => half.slice(0, Math.round(half.length * SHARED)));
      await Promise.all(servers.map((server, at) => audiences[at]!.open(server, shared[1 - at]!)));
      await expect.poll(() => silent(Infinity, next), PATIENT).toEqual([0, 0]);
      await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(from + next.length);
      const seconds = ((steadyNow() - openedAt) / 1_000).toFixed(0);
      console.info(`${from + next.length} topics open after ${seconds} s`);
    }

    const samples: (readonly [seconds: number, Sample])[] = [];
    const startedAt = steadyNow();
    for (let next = SAMPLE_MS; next <= MINUTES * 60_000; next += SAMPLE_MS) {
      await new Promise((resolve) => setTimeout(resolve, startedAt + next - steadyNow()));
      const { user, system } = process.cpuUsage();
      const sample: Sample = {
        ...(await sampleRedis(fleet.redis)),
        ...(await sampleServer(servers[0]!, readings(0))),
        ...(await sampleServer(servers[1]!, readings(1))),
        'venues and clients cpu seconds': (user + system) / 1e6,
        'events seen': audiences[0]!.events + audiences[1]!.events,
        'came again': audiences[0]!.returns + audiences[1]!.returns,
        'silent for a minute': silent(60_000).reduce((a, b) => a + b),
      };
      samples.push([(steadyNow() - startedAt) / 1_000, sample]);
      console.info(`${((steadyNow() - startedAt) / 60_000).toFixed(1)} min ${JSON.stringify(sample)}`);
    }

    const half = samples.slice(Math.floor(samples.length / 2));
    const [first, last] = [half[0]!, half.at(-1)!];
    const seconds = last[0] - first[0];
    const names = Object.keys(first[1]);
    const slopes = Object.fromEntries(
      names.map((name) => [name, slopePerHour(half.map(([at, sample]) => [at, sample[name] ?? NaN]))]),
    );
    const named = (...endings: string[]): string[] =>
      names.filter((name) => endings.some((ending) => name.endsWith(ending)));
    const growth = (name: string): number => (last[1][name] ?? NaN) - (first[1][name] ?? NaN);
    for (const name of named('heap', 'resident', 'memory', 'bytes'))
      console.info(
        `${name}: ${((last[1][name] ?? NaN) / MB).toFixed(2)} MB, ${((slopes[name] ?? NaN) / MB).toFixed(2)} MB an hour`,
      );
    const cpu = named('cpu seconds').map((name) => [name, growth(name) / seconds] as const);
    for (const [name, cores] of cpu) console.info(`${name} a second: ${cores.toFixed(3)}`);
    console.info(`all together: ${cpu.reduce((sum, [, cores]) => sum + cores, 0).toFixed(3)} of a core`);
    console.info(`events seen a second: ${(growth('events seen') / seconds).toFixed(0)}`);
    for (const [at, { lost, repeated, refusals, returns, states }] of audiences.entries())
      console.info(
        `clients of s${at + 1}: lost ${lost}, repeated ${repeated}, refused ${refusals}, came again ${returns}, ${JSON.stringify(states)}`,
      );

    if (MINUTES >= JUDGED_FROM_MINUTES) {
      for (const name of named('heap', 'memory')) expect(slopes[name], name).toBeLessThan(MAX_HEAP_SLOPE);
      for (const name of named('resident')) expect(slopes[name], name).toBeLessThan(MAX_RESIDENT_SLOPE);
    }
    for (const name of named('bytes'))
      expect(Math.max(...half.map(([, sample]) => sample[name] ?? NaN)), name).toBeLessThan(MAX_PENDING);
    expect(slopes['Redis keys'], 'Redis keys').toBeLessThan(TOPICS / 100);
    expect(audiences.map(({ repeated }) => repeated)).toEqual([0, 0]);
    await expect.poll(() => silent(60_000), PATIENT).toEqual([0, 0]);
    await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(topics.length);
  },
  (MINUTES + 40) * 60_000,
);
