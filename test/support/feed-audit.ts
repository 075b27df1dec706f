/** What the bus accepted of shared feeds, in its own order: an event is its owner's only while no other claimed the topic. */
import { Redis } from 'ioredis';

export interface FeedAudit {
  readonly claims: number;
  readonly events: number;
  /** Events under another fence than that of the latest claim, and claims whose fence is not higher, in words. */
  readonly faults: readonly string[];
  close(): void;
}

/** `url`: of the Redis; it hears everything that is published there. */
export const auditFeeds = async (url: string): Promise<FeedAudit> => {
  const redis = new Redis(url);
  const fences = new Map<string, number>();
  const audit = { claims: 0, events: 0, faults: [] as string[], close: () => redis.disconnect() };
  redis.on('pmessage', (_pattern: string, channel: string, text: string) => {
    const claimed = /^o.+\|(\d+)$/.exec(text)?.[1];
    const fence = /^m\{"kind":"item","id":"(\d+)-/.exec(text)?.[1];
    const latest = fences.get(channel);
    if (claimed !== undefined) {
      audit.claims += 1;
      if (latest !== undefined && Number(claimed) <= latest)
        audit.faults.push(`${channel}: claimed under ${claimed} after ${latest}`);
      fences.set(channel, Number(claimed));
    } else if (fence !== undefined) {
      audit.events += 1;
      if (latest !== undefined && Number(fence) !== latest)
        audit.faults.push(`${channel}: an event under ${fence} while ${latest} holds`);
    }
  });
  await redis.psubscribe('*');
  return audit;
};
