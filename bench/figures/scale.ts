/**
 * B14: what scale costs. The same cached answer among few and many keys, the same fan-out among few and many topics;
 * and docs/scale.svg: how CPU and memory grow with keys, topics, clients and exchanges.
 */
import { writeFileSync } from 'node:fs';
import { single, type Figure, type Row } from '../lib/figure.js';
import { chart, type Panel } from '../lib/svg.js';
import { clients, exchanges, keys, topics, type Curve, type Point } from './scale-curves.js';

/** The slope in words: what one more of them costs, over the whole range. */
const perOne = (points: readonly Point[], unit: string, scale: number): string => {
  const [first, last] = [points[0] ?? [0, 0], points.at(-1) ?? [1, 0]];
  const slope = ((last[1] - first[1]) / (last[0] - first[0] || 1)) * scale;
  return `${slope < 0 ? '−' : '+'}${Number(Math.abs(slope).toPrecision(2))} ${unit}`;
};

const panels = (one: string, costLabel: string, { cost, megabytes }: Curve): Panel[] => [
  {
    title: `CPU by ${one}s: ${perOne(cost, `ns a further ${one}`, 1000)}`,
    ...{ xLabel: `${one}s`, yLabel: costLabel, points: cost },
  },
  {
    title: `Resident memory by ${one}s: ${perOne(megabytes, `kB a further ${one}`, 1000)}`,
    ...{ xLabel: `${one}s`, yLabel: 'MB', points: megabytes },
  },
];

const growth = (what: string, { cost, counted }: { cost: readonly Point[]; counted: number }): Row => {
  const [first, last] = [cost[0] ?? [1, Number.NaN], cost.at(-1) ?? [1, Number.NaN]];
  return {
    ...{ id: 'B14', what: `cost of scale: ${what}, ${first[0]} to ${last[0]}`, unit: 'µs CPU', goal: 1.05 },
    ...{
      sense: 'at most',
      product: single(last[1]),
      floor: single(first[1]),
      figure: single(last[1] / first[1]),
    },
    counted,
  };
};

export const scale: Figure = {
  ids: ['B14'],
  run: async (context) => {
    const many = context.smoke ? [10, 100] : [10, 100, 1000, 10_000];
    const byKeys = await keys(context, many);
    const byTopics = await topics(context, context.smoke ? [10, 50] : many);
    const byClients = await clients(context, context.smoke ? [10] : [10, 100, 1000, 5000]);
    const byExchanges = await exchanges(context, context.smoke ? [3] : [1, 2, 3]);
    if (!context.smoke) {
      const drawing = chart([
        ...panels('key', 'µs an answer', byKeys),
        ...panels('topic', 'µs an event', byTopics),
        ...panels('client', 'µs an event', byClients),
        ...panels('exchange', 'µs an answer', byExchanges),
      ]);
      writeFileSync(new URL('../../docs/scale.svg', import.meta.url), drawing);
    }
    return [
      growth('cached answers by keys', { cost: byKeys.cost, counted: many.length }),
      growth('WebSocket fan-out by topics', { cost: byTopics.cost, counted: byTopics.cost.length }),
    ];
  },
};
