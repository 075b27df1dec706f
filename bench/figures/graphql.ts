/** G1, G2, G3: GraphQL against REST and the streams of the same server, and the main thread's time for each attack, refused. */
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { abba } from '../lib/abba.js';
import { clientFrame, upgradeRequest } from '../lib/fanout.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { get, startProduct, startVenues, type Running } from '../lib/product.js';
import { spread } from '../lib/statistics.js';
import { wrkSlice, type WrkOptions } from '../lib/wrk.js';
import { GraphqlEngine } from '../../src/graphql/engine.js';
import { ATTACKS } from '../../test/support/graphql-attacks.js';
import { TICKER } from './http.js';
import { perEvent, QUERY, TICKS, type Delivery } from './fanout.js';

const scratch = mkdtempSync(join(tmpdir(), 'bench-graphql-'));
/** The cached answers last through a whole comparison. */
const LONG_TTL = { TICKER_CACHE_TTL: '600' };
const JSON_BODY = { 'content-type': 'application/json' };

const ONE =
  '{ ticker(exchange: "binance", symbol: "BTC/USDT") { exchange symbol bid ask last timestamp raw } }';
/** Ten markets in one question. */
const TEN_MARKETS = 10;
const tenTickers = async (server: Running, fields: string): Promise<string> => {
  const { body } = await get(`${server.url}/v1/markets?exchange=binance&quote=USDT&limit=${TEN_MARKETS}`);
  const { markets } = JSON.parse(body.toString()) as {
    readonly markets: readonly { readonly symbol: string }[];
  };
  if (markets.length < TEN_MARKETS) throw new Error('the venue lists too few markets');
  const inputs = markets.map(({ symbol }) => `{exchange:"binance",symbol:"${symbol}"}`).join('');
  return `{ tickers(markets: [${inputs}]) { exchange symbol bid ask last timestamp ${fields} } }`;
};

const post = async (url: string, body: object): Promise<Record<string, unknown>> => {
  const answer = await fetch(url, { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) });
  const read = (await answer.json()) as Record<string, unknown>;
  if (read['errors'] !== undefined) throw new Error(`GraphQL refused: ${JSON.stringify(read['errors'])}`);
  return read;
};

const comparison = async (
  context: Context,
  server: Running,
  { floor, product }: { floor: string; product: readonly [url: string, wrk: Partial<WrkOptions>] },
) => {
  let counted = 0;
  const slice = (url: string, wrk: Partial<WrkOptions>) => async (): Promise<number> => {
    const result = await wrkSlice(server, url, { seconds: 1, ...wrk });
    if (result.non2xx > 0) throw new Error(`${result.non2xx} answers were 4xx or 5xx`);
    counted += result.requests;
    return result.perCpuSecond;
  };
  const sides = { floor: slice(floor, {}), product: slice(...product) };
  if (!context.smoke) {
    await sides.floor();
    await sides.product();
  }
  return { compared: await abba(context.smoke ? 0 : 4, sides), counted };
};

const persistedGet = async (context: Context, server: Running): Promise<Row> => {
  const hash = createHash('sha256').update(ONE).digest('hex');
  const extensions = { persistedQuery: { version: 1, sha256Hash: hash } };
  await post(`${server.url}/graphql`, { query: ONE, extensions });
  const url = `${server.url}/graphql?extensions=${encodeURIComponent(JSON.stringify(extensions))}`;
  await get(url);
  const floor = `${server.url}${TICKER}`;
  await get(floor);
  const { compared, counted } = await comparison(context, server, { floor, product: [url, {}] });
  const { ratio: figure, control, ...rest } = compared;
  return {
    ...{ id: 'G1', what: 'GraphQL: persisted GET of a cached ticker, to B1', unit: 'requests/CPU s' },
    ...{ goal: 0.9, sense: 'at least', ...rest, figure, control: control.median, counted },
  };
};

/** A result that tells an age is that of one moment: it is not sent again, so each request is executed. */
const warmPost = async (context: Context, server: Running, executed: boolean): Promise<Row> => {
  const query = await tenTickers(server, executed ? 'meta { ageMs }' : '');
  const what = executed ? 'executed, each with its age' : 'the result sent again';
  await post(`${server.url}/graphql`, { query });
  const script = join(scratch, 'post.lua');
  const lines = [
    'wrk.method = "POST"',
    'wrk.headers["Content-Type"] = "application/json"',
    `wrk.body = ${JSON.stringify(JSON.stringify({ query }))}`,
  ];
  writeFileSync(script, lines.join('\n'));
  const floor = `${server.url}${TICKER}`;
  const product = [`${server.url}/graphql`, { script }] as const;
  const { compared, counted } = await comparison(context, server, { floor, product });
  const tenfold = ({ q1, median, q3 }: Row['figure']): Row['figure'] => ({
    q1: q1 * TEN_MARKETS,
    median: median * TEN_MARKETS,
    q3: q3 * TEN_MARKETS,
  });
  return {
    ...{ id: 'G1', what: `GraphQL: POST of ten cached tickers, ${what}, to ten B1 requests` },
    ...{
      unit: 'tickers/CPU s',
      goal: 0.5,
      sense: 'at least',
      product: tenfold(compared.product),
      floor: compared.floor,
    },
    ...{ figure: tenfold(compared.ratio), control: compared.control.median, counted },
  };
};

/** `connection_init` as a client's frame, masked so that it holds no NUL, where the request would end. */
const INIT_TEXT = '{"type":"connection_init"}';
const INIT_FRAME = Buffer.concat([
  Buffer.from([0x81, 0x80 | INIT_TEXT.length, 1, 1, 1, 1]),
  Buffer.from(INIT_TEXT).map((byte) => byte ^ 1),
]);

const SUBSCRIPTION =
  'subscription { ticker(exchange: "binance", symbol: "BTC/USDT", threshold: 0) { ... on TickerEvent { exchange symbol bid ask last timestamp priceChangePercent sandbox } } }';

const subscriptionEvent = async (context: Context, server: Running): Promise<Row> => {
  const tally: Delivery = { events: 0, clientLoad: 0 };
  const clients = context.smoke ? 20 : 500;
  const seconds = context.smoke ? 1 : 5;
  const upgrade = upgradeRequest('/graphql').replace(
    /\r\n\r\n$/,
    '\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
  );
  // An operation comes once its connection is acknowledged: behind the answer to the upgrade.
  const request = Buffer.concat([Buffer.from(upgrade), INIT_FRAME]);
  const second = clientFrame(
    JSON.stringify({ id: '1', type: 'subscribe', payload: { query: SUBSCRIPTION } }),
  );
  const graphql = { port: server.port, clients, request, second, marker: '"type":"next"' };
  const plain = { port: server.port, clients, request: upgradeRequest(`/ws/ticker?${QUERY}`) };
  const settle = 2000;
  const compared = await abba(context.smoke ? 0 : 3, {
    floor: () => perEvent(server, plain, { seconds, tally, settle }),
    product: () => perEvent(server, graphql, { seconds, tally, settle }),
  });
  const { ratio: figure, control, ...rest } = compared;
  return {
    ...{ id: 'G2', what: `GraphQL: subscription event to ${clients} clients, to B4's event`, unit: 'µs CPU' },
    ...{ goal: 2.5, sense: 'at most', ...rest, figure, control: control.median, counted: tally.events },
  };
};

const notAsked = (): never => {
  throw new Error('nothing is executed');
};

const freshEngine = (): GraphqlEngine =>
  new GraphqlEngine({
    marketData: {
      ...{ get: notAsked, livenessOf: notAsked, markets: notAsked, exchanges: notAsked },
      ...{ resolveExchange: notAsked, resolveStoredExchange: notAsked, listedName: notAsked },
    },
    ...{ ledger: null, status: notAsked, sandbox: false, now: Date.now, requestTimeoutMs: 1000 },
    limits: { depth: 8, fields: 200, aliases: 30, cost: 1000, batch: 1 },
    persisted: { mode: 'auto', documents: new Map() },
    meter: { operation: () => undefined, refusal: () => undefined, watch: () => undefined },
    onBug: notAsked,
  });

/** Each time another text, so that nothing is remembered of it. */
const refusalMs = (engine: GraphqlEngine, { request }: (typeof ATTACKS)[number], round: number): number => {
  const query = `${request.query ?? ''} #${round}`;
  const begin = performance.now();
  try {
    engine.prepare({ ...request, query }, { introspection: true });
  } catch {
    return performance.now() - begin;
  }
  throw new Error('an attack was not refused');
};

const attacks = (context: Context): Row[] => {
  const engine = freshEngine();
  const rounds = context.smoke ? 3 : 200;
  return ATTACKS.map((attack) => {
    const times = Array.from({ length: rounds }, (_, round) => refusalMs(engine, attack, round));
    const found = spread(times);
    return {
      ...{ id: 'G3', what: `GraphQL: ${attack.name}, refused`, unit: 'ms' },
      ...{ product: found, floor: null, figure: found, goal: 5, sense: 'at most', counted: rounds },
    };
  });
};

export const graphql: Figure = {
  ids: ['G1', 'G2', 'G3'],
  async run(context) {
    const rows: Row[] = [];
    if (context.wants('G3')) {
      context.progress('G3 attacks on GraphQL');
      rows.push(...attacks(context));
    }
    if (!context.wants('G1') && !context.wants('G2')) return rows;
    const venues = await startVenues({ ticks: TICKS, markets: 60, inStep: true });
    try {
      if (context.wants('G1')) {
        const server = await startProduct(venues, LONG_TTL);
        try {
          context.progress('G1 GraphQL over HTTP');
          rows.push(
            await persistedGet(context, server),
            await warmPost(context, server, false),
            await warmPost(context, server, true),
          );
        } finally {
          await server.stop();
        }
      }
      if (context.wants('G2')) {
        const server = await startProduct(venues);
        try {
          context.progress('G2 GraphQL subscriptions');
          rows.push(await subscriptionEvent(context, server));
        } finally {
          await server.stop();
        }
      }
      return rows;
    } finally {
      await venues.stop();
    }
  },
};
