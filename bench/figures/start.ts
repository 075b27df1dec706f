/** B10: start to the first answer of /v1/health, to a minimal Fastify. B11: start to the first ticker. */
import { fileURLToPath } from 'node:url';
import { abba } from '../lib/abba.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { startChild, untilAnswers } from '../lib/processes.js';
import { freePort } from '../../test/support/free-port.js';
import { launchProduct, startVenues, type Running } from '../lib/product.js';
import { spread } from '../lib/statistics.js';
import { TICKER } from './http.js';

const minimal = fileURLToPath(new URL('../floors/fastify-minimal.js', import.meta.url));

const minimalStart = async (): Promise<number> => {
  const port = await freePort();
  const begin = performance.now();
  const child = startChild([process.execPath, minimal, String(port)], { core: 0 });
  await untilAnswers(`http://127.0.0.1:${port}/v1/health`);
  const took = performance.now() - begin;
  await child.stop();
  return took;
};

const productStart = async (venues: Running, path: string): Promise<number> => {
  const begin = performance.now();
  const { child, url } = await launchProduct(venues);
  await untilAnswers(`${url}${path}`);
  const took = performance.now() - begin;
  await child.stop();
  return took;
};

const firstHealth = async (context: Context, venues: Running): Promise<Row> => {
  context.progress('B10 start to first 200 of /v1/health');
  const rounds = context.smoke ? 0 : 3;
  const { ratio, product, floor, control } = await abba(rounds, {
    floor: minimalStart,
    product: () => productStart(venues, '/v1/health'),
  });
  return {
    ...{ id: 'B10', what: 'start to first 200 of /v1/health, to a minimal Fastify', unit: 'ms' },
    ...{
      product,
      floor,
      figure: ratio,
      control: control.median,
      goal: 1.7,
      sense: 'at most',
      counted: Math.max(1, rounds),
    },
  };
};

const firstTicker = async (context: Context, venues: Running): Promise<Row> => {
  context.progress('B11 start to first ticker');
  const rounds = context.smoke ? 1 : 3;
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round++) seconds.push((await productStart(venues, TICKER)) / 1000);
  return {
    ...{ id: 'B11', what: 'start to first ticker', unit: 's', product: spread(seconds), floor: null },
    ...{ figure: spread(seconds), goal: 0.8, sense: 'at most', counted: rounds },
  };
};

export const start: Figure = {
  ids: ['B10', 'B11'],
  run: async (context) => {
    const venues = await startVenues();
    try {
      return [
        ...(context.wants('B10') ? [await firstHealth(context, venues)] : []),
        ...(context.wants('B11') ? [await firstTicker(context, venues)] : []),
      ];
    } finally {
      await venues.stop();
    }
  },
};
