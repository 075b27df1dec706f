/** Metrics of the processes of a server, where there are several. */
import type { Registry, Sample } from './families.js';

/** `restarts`: how often each was replaced. */
export const addProcesses = (registry: Registry, restarts: () => ReadonlyMap<string, number>): void => {
  registry.addCounter({
    name: 'process_restarts_total',
    help: 'Processes of this server that ended and were replaced: the feeder, or the number of a serving process.',
    labels: ['name'],
    samples: () => [...restarts()].map(([name, count]): Sample => [count, { name }]),
  });
};
