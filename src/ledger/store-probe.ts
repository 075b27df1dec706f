/** Whether a store can be written again after a write has failed: asked now and then while nothing else writes. */
import { randomBytes } from 'node:crypto';
import type { Millis } from '../schemas/common.js';
import type { CandleStore } from './store.js';

export const PROBE_EVERY_MS: Millis = 5_000;

const KEY = 'probe';
/** More than a page of either database, and nothing that could be compressed: a full disk shows. */
const BYTES = 48 * 1024;

/** Rejects as the store does. What is written is taken out again; its pages are free for candles. */
export const probeStore = async ({ setMeta }: Pick<CandleStore, 'setMeta'>): Promise<void> => {
  await setMeta(KEY, randomBytes(BYTES).toString('base64'));
  await setMeta(KEY, '');
};
