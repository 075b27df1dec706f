/** Whether several servers hold the same subscription at a venue, and for how long at once. */
import { steadyNow } from '../../src/lib/steady-clock.js';
import type { Sandbox } from '../../src/sandbox/sandbox.js';

const LOOK_EVERY_MS = 25;

interface Doubled {
  readonly channel: string;
  readonly from: number;
  readonly ms: number;
}

export const watchUpstream = ({ control }: Sandbox) => {
  const since = new Map<string, number>();
  const doubled: Doubled[] = [];
  const look = (): void => {
    const now = steadyNow();
    const held = control.listSockets().flatMap(({ channels }) => channels);
    const once = new Set<string>();
    const twice = new Set(held.filter((channel) => once.size === once.add(channel).size));
    for (const channel of twice) if (!since.has(channel)) since.set(channel, now);
    for (const [channel, from] of since)
      if (!twice.has(channel)) {
        since.delete(channel);
        doubled.push({ channel, from, ms: now - from });
      }
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return {
    /** Subscriptions that were held more than once and are not any more. */
    doubled,
    /** Ends it; subscriptions that are still held more than once are among `doubled` then. */
    end(): void {
      clearInterval(timer);
      const now = steadyNow();
      for (const [channel, from] of since) doubled.push({ channel, from, ms: now - from });
    },
  };
};
