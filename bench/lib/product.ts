/** The product and its simulated venues, started as their users start them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause, startChild, untilAnswers, untilListens, type Child, type ChildOptions } from './processes.js';
import { freePort } from '../../test/support/free-port.js';

const dist = (path: string): string => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url));
const quickCandles = fileURLToPath(new URL('../workloads/quick-candles.js', import.meta.url));

export interface Running extends Child {
  readonly url: string;
  readonly port: number;
}

export interface VenueOptions {
  readonly markets?: number;
  /** Ticks a second of each subscribed symbol. */
  readonly ticks?: number;
  /** All symbols tick at the same instants. */
  readonly inStep?: boolean;
}

/** `npm run sandbox` on the load's core. */
export const startVenues = async ({
  markets = 12,
  ticks = 2,
  inStep = false,
}: VenueOptions = {}): Promise<Running> => {
  const port = await freePort();
  const child = startChild(
    [
      process.execPath,
      dist('sandbox/main.js'),
      ...['--port', String(port), '--seed', '7', '--markets', String(markets), '--ticks', String(ticks)],
      ...['--weight-limit', '0', ...(inStep ? ['--in-step'] : [])],
    ],
    { core: 1 },
  );
  const url = `http://127.0.0.1:${port}`;
  await untilAnswers(`${url}/_control/state`);
  return { ...child, url, port };
};

/** In front of the simulated venues, on the load's core: candles of Binance that cost next to nothing to make. */
export const startQuickCandles = async (venues: Running): Promise<Running> => {
  const port = await freePort();
  const child = startChild([process.execPath, quickCandles, String(port), venues.url], { core: 1 });
  await untilListens(port);
  return { ...child, port, url: `http://127.0.0.1:${port}` };
};

/** The built server on its own core, with default settings but for what `env` says. */
export const startProduct = async (
  venues: Running,
  env: Readonly<Record<string, string>> = {},
  core: ChildOptions['core'] = 0,
): Promise<Running> => {
  const { child, url, port } = await launchProduct(venues, env, core);
  await untilAnswers(`${url}/v1/health`);
  return { ...child, url, port };
};

/** As `startProduct`, without waiting for the first answer. Its candles are in a folder of its own, which ends with it. */
export const launchProduct = async (
  venues: Running,
  env: Readonly<Record<string, string>> = {},
  core: ChildOptions['core'] = 0,
): Promise<{ child: Child; url: string; port: number }> => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'bench-store-'));
  const child = startChild([process.execPath, dist('cli.js')], {
    core,
    env: {
      APP_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      SANDBOX: venues.url,
      REDIS_ENABLED: 'false',
      STORE_URL: `sqlite:${join(folder, 'candles.db')}`,
      ...env,
    },
  });
  const stop = async (): Promise<void> => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { child: { ...child, stop }, url: `http://127.0.0.1:${port}`, port };
};

/** A new key of a store, made on the command line. */
export const makeKey = (env: Readonly<Record<string, string>>): string =>
  execFileSync(process.execPath, [dist('cli.js'), 'keys', 'create', '--name', 'bench'], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();

/** The answer's bytes; throws with the product's words where it is not a 200. */
export const get = async (
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ body: Buffer; headers: Headers }> => {
  const response = await fetch(url, { headers });
  const body = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${body.toString().slice(0, 300)}`);
  return { body, headers: response.headers };
};

/** Longest wait for a metric, in seconds. */
const METRIC_S = 60;

/** Until the sum of the server's own figures of this metric (a line's beginning) is as wanted. */
export const untilMetric = async (
  product: Running,
  metric: RegExp,
  wanted: (sum: number) => boolean,
): Promise<void> => {
  for (let waited = 0; ; waited++) {
    const lines = (await get(`${product.url}/metrics`)).body.toString().split('\n');
    const values = lines.filter((line) => metric.test(line)).map((line) => Number(line.split(' ').at(-1)));
    const sum = values.reduce((total, value) => total + value, 0);
    if (wanted(sum)) return;
    if (waited === METRIC_S) throw new Error(`${metric.source} is still ${sum}`);
    await pause(1000);
  }
};
