/** C5: cached answers of two serving processes against those of one server that is one process, by the CPU of all of it. */
import { abba } from '../lib/abba.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { get, startProduct, startVenues, type Running } from '../lib/product.js';
import { wrkSlice } from '../lib/wrk.js';
import { TICKER } from './http.js';

/** The cached answer lasts through a whole comparison. */
const LONG_TTL = { TICKER_CACHE_TTL: '600' };

/** Each process has the answer. */
const warm = async ({ url }: Running): Promise<void> => {
  for (let times = 0; times < 8; times += 1) await get(`${url}${TICKER}`, { connection: 'close' });
};

const twoToOne = async (context: Context, one: Running, two: Running): Promise<Row> => {
  let counted = 0;
  const slice = (server: Running) => async (): Promise<number> => {
    const result = await wrkSlice(server, `${server.url}${TICKER}`, { seconds: 1 });
    if (result.non2xx > 0) throw new Error(`${result.non2xx} answers were 4xx or 5xx`);
    counted += result.requests;
    return result.perCpuSecond;
  };
  const sides = { floor: slice(one), product: slice(two) };
  await warm(one);
  await warm(two);
  if (!context.smoke) {
    await sides.floor();
    await sides.product();
  }
  const { ratio: figure, control, product, floor } = await abba(context.smoke ? 0 : 4, sides);
  return {
    ...{ id: 'C5', what: 'cached ticker, SERVER_PROCESSES=2 to 1, CPU of all processes' },
    ...{ unit: 'requests/CPU s', goal: 0.85, sense: 'at least' },
    ...{ product, floor, figure, control: control.median, counted },
  };
};

export const processes: Figure = {
  ids: ['C5'],
  run: async (context) => {
    context.progress('C5 cached ticker, two processes to one');
    const venues = await startVenues();
    const servers: Running[] = [];
    try {
      const [one, two] = [
        await startProduct(venues, LONG_TTL),
        await startProduct(venues, { ...LONG_TTL, SERVER_PROCESSES: '2' }),
      ];
      servers.push(one, two);
      return [await twoToOne(context, one, two)];
    } finally {
      for (const server of servers) await server.stop();
      await venues.stop();
    }
  },
};
