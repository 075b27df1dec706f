/** Asks a sandbox that runs in another process for its seed, so that the data of two seeds never share a store. */
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import type { Millis } from '../schemas/common.js';

const TIMEOUT_MS: Millis = 1_000;
const state = z.object({ seed: z.number().int() });

/** A plain request, which follows no redirect: `fetch` would load undici into the serving thread, 25 ms of the start. */
const readState = async (url: string): Promise<unknown> => {
  const { get } = url.startsWith('https:') ? await import('node:https') : await import('node:http');
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const request = get(`${url}/_control/state`, { signal, agent: false }, (response) => {
      if (response.statusCode === 200) json(response).then(resolve, reject);
      else request.destroy(new Error(`status ${response.statusCode}`));
    });
    request.on('error', reject);
  });
};

/** null where the sandbox does not answer, or has no control API for this server. Never rejects. */
export const sandboxSeed = async (url: string): Promise<number | null> => {
  try {
    return state.parse(await readState(url)).seed;
  } catch {
    return null;
  }
};
