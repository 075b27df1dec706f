/**
 * What each key uses, by the hour: integers on the principals, written to the store every FLUSH_MS, so that a kill loses
 * that much at most. What all servers have written of a consumer's units is read back, which makes quotas common to them.
 */
import type { Log } from '../log/log.js';
import { createOutage } from '../log/outage.js';
import type { Millis } from '../schemas/common.js';
import type { Principal } from './principal.js';
import type { Caller, Quotas } from './quotas.js';
import type { AccessStore, UsageDelta } from './store/store.js';

const FLUSH_MS = 10_000;
const HOUR_MS = 3_600_000;
/** Rows of keys and hours that wait for a store that is away: about 10 MB. What comes on top is not recorded. */
const MAX_BACKLOG = 50_000;
const ROWS_A_WRITE = 500;
/** How long a first request waits for what its consumer used before. */
const LEARN_WITHIN_MS = 1_000;

interface MeteredAnswer {
  readonly units: number;
  readonly bytes: number;
  /** A limit, the plan or a scope refused it. */
  readonly isRefused: boolean;
}

export interface Metering {
  /** A request has come. */
  asked(principal: Principal, count?: number): void;
  /** It was answered; `units` count against day and month. */
  answered(caller: Caller<Principal>, answer: MeteredAnswer): void;
  /** A stream is open until what is returned is called; `bytes`: written to it so far. */
  opened(principal: Principal, bytes: () => number): () => void;
  /** Resolves when it is known what the consumer used before, or cannot be told in time. Never rejects. */
  learn(principal: Principal): Promise<void>;
  /** Writes what there is. Never rejects. */
  flush(): Promise<void>;
  /** Writes what there is, and ends. Never rejects. */
  close(): Promise<void>;
}

export interface MeteringDeps {
  readonly quotas: Pick<Quotas, 'units' | 'spend'>;
  /** Throws while it cannot be reached. */
  readonly store: () => Pick<AccessStore, 'addUsage' | 'unitsSince'>;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

interface OpenStream {
  readonly principal: Principal;
  readonly bytes: () => number;
  seenBytes: number;
  /** What is not counted yet began then. */
  since: Millis;
}

const hourOf = (at: Millis): Millis => at - (at % HOUR_MS);

const isIdle = ({ requests, units, bytes, streamSeconds, refused }: Principal['usage']): boolean =>
  requests + units + bytes + streamSeconds + refused === 0;

export const createMetering = ({ quotas, store, log, now, monotonic }: MeteringDeps): Metering => {
  const { units } = quotas;
  const outage = createOutage({
    log,
    now,
    warning:
      'usage cannot be written; it is kept until the store of keys answers, and quotas count by server',
    recovery: 'usage is written again',
  });
  const dirty = new Set<Principal>();
  const streams = new Set<OpenStream>();
  const backlog = new Map<string, UsageDelta>();
  /** Consumers with a quota that were counted since the last flush. */
  const limited = new Set<string>();
  let hour = hourOf(now());

  const file = (delta: UsageDelta): void => {
    const key = `${delta.hour} ${delta.keyId}`;
    const known = backlog.get(key);
    if (known === undefined) {
      if (backlog.size < MAX_BACKLOG) backlog.set(key, delta);
      else units.written(delta.consumer, delta.units);
      return;
    }
    backlog.set(key, {
      ...known,
      requests: known.requests + delta.requests,
      units: known.units + delta.units,
      bytes: known.bytes + delta.bytes,
      streamSeconds: known.streamSeconds + delta.streamSeconds,
      refused: known.refused + delta.refused,
    });
  };

  const measure = (stream: OpenStream): void => {
    const [at, bytes] = [monotonic(), stream.bytes()];
    const seconds = Math.floor((at - stream.since) / 1000);
    const { usage } = stream.principal;
    usage.streamSeconds += seconds;
    usage.bytes += Math.max(0, bytes - stream.seenBytes);
    stream.since += seconds * 1000;
    stream.seenBytes = bytes;
    dirty.add(stream.principal);
  };

  /** Moves what principals hold to the rows of the hour in which it was counted. */
  const collect = (): void => {
    for (const stream of streams) measure(stream);
    for (const { id: keyId, consumer, usage } of dirty) {
      if (isIdle(usage)) continue;
      file({ keyId, consumer: consumer.id, hour, ...usage });
      Object.assign(usage, { requests: 0, units: 0, bytes: 0, streamSeconds: 0, refused: 0 });
    }
    dirty.clear();
    hour = hourOf(now());
  };

  const isLimited = ({ plan }: Principal): boolean => plan.limits.day !== null || plan.limits.month !== null;

  const touch = (principal: Principal): Principal['usage'] => {
    if (now() - hour >= HOUR_MS) collect();
    dirty.add(principal);
    return principal.usage;
  };

  const learnSums = async (consumers: readonly string[]): Promise<void> => {
    if (consumers.length === 0) return;
    const periods = units.periods();
    const [days, months] = await Promise.all([
      store().unitsSince(consumers, periods.day),
      store().unitsSince(consumers, periods.month),
    ]);
    for (const consumer of consumers)
      units.settle(consumer, { day: days.get(consumer) ?? 0, month: months.get(consumer) ?? 0 }, periods);
  };

  /** What could not be written is kept. */
  const writeRows = async (): Promise<void> => {
    const rows = [...backlog.values()];
    backlog.clear();
    let from = 0;
    try {
      for (; from < rows.length; from += ROWS_A_WRITE) {
        const some = rows.slice(from, from + ROWS_A_WRITE);
        await store().addUsage(some);
        for (const { consumer, units: written } of some) units.written(consumer, written);
      }
    } finally {
      for (const delta of rows.slice(from)) file(delta);
    }
  };

  const write = async (): Promise<void> => {
    collect();
    try {
      await writeRows();
      const consumers = [...limited];
      limited.clear();
      for (let from = 0; from < consumers.length; from += ROWS_A_WRITE)
        await learnSums(consumers.slice(from, from + ROWS_A_WRITE));
      outage.end();
    } catch (error) {
      outage.begin({ err: error });
    }
  };

  // One after the other: two that read the same row would add it twice.
  let last: Promise<void> = Promise.resolve();
  const flush = (): Promise<void> => (last = last.then(write));
  const timer = setInterval(() => void flush(), FLUSH_MS).unref();

  const learning = new Map<string, Promise<void>>();
  const learnOne = async (consumer: string): Promise<void> => {
    let giveUp: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      giveUp = setTimeout(resolve, LEARN_WITHIN_MS).unref();
    });
    try {
      await Promise.race([learnSums([consumer]), late]);
    } catch {
      // The next flush tells of it.
    } finally {
      clearTimeout(giveUp);
      // Until the store says more, what was counted here is what there is.
      units.assume(consumer);
      learning.delete(consumer);
    }
  };

  return {
    asked(principal, count = 1) {
      touch(principal).requests += count;
      if (isLimited(principal)) limited.add(principal.consumer.id);
    },
    answered(caller, { units: spent, bytes, isRefused }) {
      const usage = touch(caller.principal);
      usage.bytes += bytes;
      if (isRefused) usage.refused += 1;
      if (spent === 0) return;
      usage.units += spent;
      // Streams spend units long after they were asked for.
      if (isLimited(caller.principal)) limited.add(caller.principal.consumer.id);
      quotas.spend(caller, spent);
    },
    opened(principal, bytes) {
      const stream = { principal, bytes, seenBytes: bytes(), since: monotonic() };
      streams.add(stream);
      return () => {
        if (!streams.delete(stream)) return;
        // The rest of a second counts as one: a stream of half a second is not nothing.
        stream.since -= 999;
        measure(stream);
      };
    },
    learn(principal) {
      if (principal.kind === 'anonymous' || units.isKnown(principal.consumer.id)) return Promise.resolve();
      const consumer = principal.consumer.id;
      const running = learning.get(consumer) ?? learnOne(consumer);
      learning.set(consumer, running);
      return running;
    },
    flush,
    async close() {
      clearInterval(timer);
      await flush();
    },
  };
};
