/** B7: resident memory of an idle stream client at 5000. B12: resident memory with three large venues, idle. */
import type { Context, Figure, Row } from '../lib/figure.js';
import { single } from '../lib/figure.js';
import { Fanout, sseRequest, upgradeRequest } from '../lib/fanout.js';
import { pause, residentBytes } from '../lib/processes.js';
import { get, startProduct, startVenues, type Running } from '../lib/product.js';
import { TICKER } from './http.js';

/** No move of the price reaches 100 %: the clients stay idle but for heartbeats. */
const IDLE = 'exchange=binance&symbol=BTC/USDT&threshold=1';

/** The smallest of a few readings a second apart: what is left once garbage has been collected. */
const settledBytes = async (pid: number, readings: number): Promise<number> => {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < readings; i++) {
    await pause(1000);
    least = Math.min(least, residentBytes(pid));
  }
  return least;
};

const perClient = async (context: Context, venues: Running, request: string): Promise<number> => {
  // All of them come from one address, which may have half of STREAM_MAX_CONNECTIONS: 5000, with those of the warm-up.
  const product = await startProduct(venues, { STREAM_MAX_PER_CLIENT: '10000' });
  try {
    await get(`${product.url}${TICKER}`);
    const warm = await Fanout.start({ port: product.port, clients: 50, request });
    const before = await settledBytes(product.pid, context.smoke ? 1 : 3);
    const clients = context.smoke ? 200 : 5000;
    const crowd = await Fanout.start({ port: product.port, clients, request });
    const after = await settledBytes(product.pid, context.smoke ? 1 : 8);
    const { open } = await crowd.read();
    if (open < clients) throw new Error(`only ${open} of ${clients} clients stayed`);
    await crowd.stop();
    await warm.stop();
    return (after - before) / clients / 1000;
  } finally {
    await product.stop();
  }
};

const idleClients = async (context: Context): Promise<readonly Row[]> => {
  const venues = await startVenues();
  try {
    const rows: Row[] = [];
    for (const [kind, request, goal] of [
      ['WebSocket', upgradeRequest(`/ws/ticker?${IDLE}`), 6],
      ['SSE', sseRequest(`/v1/stream/ticker?${IDLE}`), 10],
    ] as const) {
      context.progress(`B7 memory of an idle ${kind} client`);
      const kilobytes = single(await perClient(context, venues, request));
      rows.push({
        ...{ id: 'B7', what: `resident memory of an idle ${kind} client at 5000`, unit: 'kB', goal },
        ...{ sense: 'at most', product: kilobytes, floor: null, figure: kilobytes },
        counted: context.smoke ? 200 : 5000,
      });
    }
    return rows;
  } finally {
    await venues.stop();
  }
};

const largeVenues = async (context: Context): Promise<readonly Row[]> => {
  context.progress('B12 memory with three exchanges of 3,000 markets each');
  const venues = await startVenues({ markets: context.smoke ? 100 : 3000 });
  const product = await startProduct(venues);
  try {
    const pairs = { binance: 'BTC/USDT', kraken: 'BTC/USD', coinbaseexchange: 'BTC/USD' };
    for (const [exchange, symbol] of Object.entries(pairs))
      await get(`${product.url}/v1/markets/ticker?exchange=${exchange}&symbol=${symbol}`);
    const { body } = await get(`${product.url}/v1/markets?exchange=binance&limit=1000`);
    const counted = (JSON.parse(body.toString()) as { markets: unknown[] }).markets.length;
    const megabytes = single((await settledBytes(product.pid, context.smoke ? 1 : 6)) / 1e6);
    return [
      {
        ...{
          id: 'B12',
          what: 'resident memory, three exchanges of 3,000 markets, idle',
          unit: 'MB',
          goal: 220,
        },
        ...{ sense: 'at most', product: megabytes, floor: null, figure: megabytes, counted },
      },
    ];
  } finally {
    await product.stop();
    await venues.stop();
  }
};

export const memory: Figure = {
  ids: ['B7', 'B12'],
  run: async (context) => [
    ...(context.wants('B7') ? await idleClients(context) : []),
    ...(context.wants('B12') ? await largeVenues(context) : []),
  ],
};
