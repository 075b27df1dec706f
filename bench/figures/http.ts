/** B1, B1a, B2, B3: cached answers against bare node:http. B15: against FastAPI and uvicorn. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { abba } from '../lib/abba.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { pause, startChild, untilAnswers, type Child } from '../lib/processes.js';
import { freePort } from '../../test/support/free-port.js';
import { get, makeKey, startProduct, startVenues, type Running } from '../lib/product.js';
import { wrkSlice, type WrkOptions } from '../lib/wrk.js';

const here = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'bench-http-'));

export const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const BOOK = '/v1/markets/orderbook?exchange=binance&symbol=BTC/USDT&limit=100';

const startFloor = async (body: Buffer, extra: readonly string[] = []): Promise<Running> => {
  const port = await freePort();
  const file = join(scratch, `${port}.body`);
  writeFileSync(file, body);
  const child = startChild([process.execPath, here('floors/http-floor.js'), String(port), file, ...extra], {
    core: 0,
  });
  const url = `http://127.0.0.1:${port}`;
  await untilAnswers(url);
  return { ...child, url, port };
};

interface Case {
  readonly id: string;
  readonly what: string;
  readonly goal: number;
  readonly path: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ask with the answer's own ETag, so that every answer is a 304. */
  readonly conditional?: boolean;
  /** Asked with a key, of a server that serves nobody without one. */
  readonly keyed?: boolean;
  /** FastAPI with the same ticker instead of bare node:http. */
  readonly peer?: boolean;
}

/** Long enough that a conditional request keeps matching through a whole comparison. */
const LONG_TTL = { TICKER_CACHE_TTL: '600', ORDERBOOK_CACHE_TTL: '600' };

/** Keys of the benchmark's own. */
const KEYED = { AUTH_MODE: 'required', AUTH_STORE: `sqlite:${join(scratch, 'access.db')}` };

/** Cases with the same settings follow each other: they share a server. */
const CASES: readonly Case[] = [
  { id: 'B1', what: 'cached ticker, every protection, default log', goal: 0.82, path: TICKER },
  { id: 'B2', what: 'cached 100-level order book', goal: 0.85, path: BOOK },
  { id: 'B15', what: 'cached ticker, to FastAPI + uvicorn', goal: 9, path: TICKER, peer: true },
  { id: 'B1a', what: 'the same as B1, ACCESS_LOG=all', goal: 0.65, path: TICKER, env: { ACCESS_LOG: 'all' } },
  {
    ...{
      id: 'B1 limited',
      what: 'the same as B1 with a client limit, which is off by default',
      path: TICKER,
    },
    ...{ goal: 0.75, env: { CLIENT_RATE_LIMIT_REQUESTS: '10000000' } },
  },
  {
    ...{ id: 'B1 keyed', what: 'the same as B1 with a key, AUTH_MODE=required', path: TICKER },
    ...{ goal: 0.7, keyed: true, env: KEYED },
  },
  { id: 'B3', what: '304 on a matching ETag', goal: 0.82, path: TICKER, conditional: true, env: LONG_TTL },
];

/** Debian's, since pip is no part of the machine. */
export const PYTHON = '/usr/bin/python3';
export const PYTHON_PACKAGES = 'python3-fastapi python3-uvicorn python3-uvloop python3-httptools';

const startFastapi = async (): Promise<Running> => {
  const port = await freePort();
  const child = startChild([PYTHON, here('peers/fastapi_app.py'), String(port)], { core: 0 });
  const url = `http://127.0.0.1:${port}`;
  await untilAnswers(`${url}${TICKER}`);
  return { ...child, url, port };
};

const compare = async (
  context: Context,
  sides: { floor: Running; product: Running },
  options: { product: string; floorPath?: string; wrk?: Partial<WrkOptions> },
) => {
  let counted = 0;
  let refused = 0;
  const slice = (server: Child, url: string) => async () => {
    const result = await wrkSlice(server, url, { seconds: 1, ...options.wrk });
    counted += result.requests;
    refused += result.non2xx;
    return result.perCpuSecond;
  };
  const [floorSlice, productSlice] = [
    slice(sides.floor, `${sides.floor.url}${options.floorPath ?? '/'}`),
    slice(sides.product, options.product),
  ];
  if (!context.smoke) {
    // Compiled and warm before it counts, on both sides.
    await floorSlice();
    await productSlice();
  }
  const comparison = await abba(context.smoke ? 0 : 3, { floor: floorSlice, product: productSlice });
  if (refused > 0) throw new Error(`${refused} answers were 4xx or 5xx`);
  return { comparison, counted };
};

/** Servers know of a new key within AUTH_SYNC_INTERVAL. */
const askedWith = async (url: string, headers: Record<string, string>): ReturnType<typeof get> => {
  for (let tries = 0; ; tries += 1)
    try {
      return await get(url, headers);
    } catch (error) {
      if (tries === 10) throw error;
      await pause(500);
    }
};

const cachedCase = async (context: Context, product: Running, test: Case): Promise<Row> => {
  context.progress(`${test.id} ${test.what}`);
  const credential = test.keyed ? { 'x-api-key': makeKey(KEYED) } : undefined;
  const url = `${product.url}${test.path}`;
  const { body, headers } = await (credential === undefined ? get(url) : askedWith(url, credential));
  const floor = test.peer ? await startFastapi() : await startFloor(body, test.conditional ? ['304'] : []);
  try {
    const { comparison, counted } = await compare(
      context,
      { floor, product },
      {
        product: `${product.url}${test.path}`,
        ...(test.peer ? { floorPath: TICKER } : {}),
        ...(test.conditional ? { wrk: { headers: [`If-None-Match: ${headers.get('etag') ?? ''}`] } } : {}),
        ...(credential === undefined ? {} : { wrk: { headers: [`X-API-Key: ${credential['x-api-key']}`] } }),
      },
    );
    const { ratio: figure, control, ...rest } = comparison;
    return {
      ...{ id: test.id, what: test.what, unit: 'requests/CPU s', goal: test.goal, sense: 'at least' },
      ...{ product: rest.product, floor: rest.floor, figure, control: control.median, counted },
    };
  } finally {
    await floor.stop();
  }
};

export const cachedAnswers: Figure = {
  ids: CASES.map(({ id }) => id),
  run: async (context) => {
    const venues = await startVenues();
    let running: { env: Case['env']; product: Running } | undefined;
    try {
      const rows: Row[] = [];
      for (const test of CASES) {
        if (!context.wants(test.id)) continue;
        if (running === undefined || running.env !== test.env) {
          await running?.product.stop();
          running = { env: test.env, product: await startProduct(venues, test.env) };
        }
        rows.push(await cachedCase(context, running.product, test));
      }
      return rows;
    } finally {
      await running?.product.stop();
      await venues.stop();
    }
  },
};
