/** Asks a sandbox that runs in another process for its seed, so that the data of two seeds never share a store. */
import { z } from 'zod';
import type { Millis } from '../schemas/common.js';

const TIMEOUT_MS: Millis = 1_000;
const state = z.object({ seed: z.number().int() });

/** null where the sandbox does not answer, or has no control API for this server. Never rejects. */
export const sandboxSeed = async (url: string): Promise<number | null> => {
  try {
    const answer = await fetch(`${url}/_control/state`, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return state.parse(await answer.json()).seed;
  } catch {
    return null;
  }
};
