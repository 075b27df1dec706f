/**
 * How slow this machine is just now: the time that one and the same piece of work takes, beside the best it ever took
 * here. For promises in seconds, which a machine that has no time for its programs can not keep.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export interface PaceMeter {
  /** Measures until `end`, which resolves to a factor of at least 1. */
  begin(): { end(): Promise<number> };
  stop(): Promise<void>;
}

/** In a thread of its own, as what is measured: several ms of work, and a pause three times as long. */
const WORK = `
const { parentPort } = require('node:worker_threads');
const work = () => {
  const started = performance.now();
  let sum = 0;
  for (let i = 0; i < 4e6; i += 1) sum = (sum + i * 31) % 1000003;
  const ms = performance.now() - started;
  parentPort.postMessage(ms);
  setTimeout(work, ms * 3);
};
work();
`;
/** Pieces of work until the best of them is known. */
const FIRST_PIECES = 20;

export const startPaceMeter = async (): Promise<PaceMeter> => {
  const thread = new Worker(WORK, { eval: true });
  const times: number[] = [];
  thread.on('message', (ms: number) => times.push(ms));
  const piecesAfter = async (count: number): Promise<void> => {
    while (times.length < count) await once(thread, 'message');
  };
  await piecesAfter(FIRST_PIECES);
  return {
    begin: () => {
      const from = times.length;
      return {
        end: async () => {
          // One that has begun before the end has felt what there was to feel.
          await piecesAfter(times.length + 1);
          const felt = times.slice(from);
          const mean = felt.reduce((sum, ms) => sum + ms, 0) / felt.length;
          return Math.max(1, mean / Math.min(...times));
        },
      };
    },
    stop: async () => {
      await thread.terminate();
    },
  };
};
