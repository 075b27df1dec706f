/**
 * A connection to Redis that costs nothing while Redis is not well: every command has a deadline, a few that miss it
 * stop all commands, and a probe notices within PROBE_MS when Redis answers again. Reconnects by itself.
 */
import type { Redis } from 'ioredis';
import type { Millis } from '../schemas/common.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import { createOutage } from '../log/outage.js';
import { CONNECT_TIMEOUT_MS, createRedisClient, isRefusal } from './redis-client.js';

/** Redis is there to be faster than the venue: what takes longer than this is a miss. */
export const COMMAND_DEADLINE_MS = 50;
/** Deadlines missed one after the other before no more commands are sent; what fails together counts once. */
const MAX_FAILURES = 3;
/** How often a Redis that does not answer is asked whether it does. */
const PROBE_MS = 500;
/** A probe must be quicker than a command need be, so that a Redis at the border does not flicker. */
const PROBE_SHARE = 0.5;
/** Turns of the probe through which a socket may owe an answer, its handshake's or a probe's, before it is replaced. */
const MAX_SILENT_TURNS = 2;
/** A socket that is replaced is ended, and destroyed where that takes longer. */
const CLOSE_TIMEOUT_MS = 100;

export interface RedisConnection {
  /** false: Redis is known not to answer, and `run` would reject at once. */
  readonly isUp: boolean;
  /**
   * The reply, or a rejection: within the deadline. A ReplyError (Redis refused this command) says nothing about the
   * connection; anything else counts against it.
   */
  run<T>(command: (redis: Redis) => Promise<T>): Promise<T>;
  /** A command whose reply is not waited for, sent also while Redis has only just begun to answer again. */
  send(command: (redis: Redis) => Promise<unknown>): void;
  /** When `isUp` last changed. */
  readonly since: Millis;
  close(): Promise<void>;
}

export interface RedisConnectionDeps {
  readonly url: string;
  readonly log: Log;
  readonly now: () => Millis;
  readonly deadlineMs: Millis;
  /** What an outage means for a command. */
  readonly warning?: string;
  readonly recovery?: string;
}

class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** Rejects late replies. A reply that already lies in the socket when a busy event loop gets here is not late. */
const within = <T>(reply: Promise<T>, ms: Millis): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      setImmediate(() => reject(new DeadlineError('Redis did not answer in time.')));
    }, ms).unref();
    reply.then(resolve, reject).finally(() => clearTimeout(timer));
  });

/** After a fail-over the old master is a replica: the URL's name leads to the new one, for new connections only. */
const NOT_MASTER = /^(READONLY|MASTERDOWN)\b/;
/** A Redis that is a replica for good is not reconnected to at every write. */
const FAIL_OVER_RECONNECT_MS = 5_000;

const connect = (url: string, now: () => Millis): Redis => {
  let reconnectedAt = -Infinity;
  return createRedisClient(url, {
    reconnectOnError: ({ message }) => {
      const due = NOT_MASTER.test(message) && now() - reconnectedAt >= FAIL_OVER_RECONNECT_MS;
      if (due) reconnectedAt = now();
      return due;
    },
    disconnectTimeout: CLOSE_TIMEOUT_MS,
    enableAutoPipelining: true,
    // A probe must not queue behind a pipeline that hangs.
    autoPipeliningIgnoredCommands: ['ping'],
    keepAlive: 10_000,
  });
};

export const createRedisConnection = ({
  url,
  log,
  now,
  deadlineMs,
  warning = 'Redis does not answer; memory alone serves until it does',
  recovery = 'Redis answers again',
}: RedisConnectionDeps): RedisConnection => {
  const outage = createOutage({ log, now, warning, recovery });
  const redis = connect(url, steadyNow);
  let isUp = false;
  let since = now();
  let failures = 0;
  let failedAt = -Infinity;
  let closed = false;
  let probing = false;
  let silentTurns = 0;

  const turn = (up: boolean): void => {
    failures = 0;
    if (isUp === up) return;
    isUp = up;
    since = now();
  };
  const up = (): void => {
    turn(true);
    outage.end();
  };
  /** `reason`: an error's code or name, never its text, which may hold the URL. */
  const down = (reason: string): void => {
    turn(false);
    if (!closed) outage.begin({ reason });
  };
  const reasonOf = (thrown: unknown): string => {
    if (!(thrown instanceof Error)) return 'unknown';
    return 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : thrown.name;
  };

  const replace = (reason: string): void => {
    silentTurns = 0;
    down(reason);
    redis.disconnect(true);
  };

  const probe = (): void => {
    if (probing || redis.status !== 'ready') return;
    probing = true;
    // Typed as 'PONG', but what answers may be anything.
    const reply: Promise<string> = redis.ping();
    const settled = (): void => {
      probing = false;
      silentTurns = 0;
    };
    reply.then(settled, settled);
    within(reply, deadlineMs * PROBE_SHARE).then(
      (said) => {
        if (said === 'PONG') up();
      },
      () => undefined,
    );
  };
  /**
   * Bytes that were no replies may have left the parser waiting for the rest of one, or a command without its reply: then
   * nothing that is sent is answered any more. The handshake is watched too, since ioredis puts no deadline on it.
   */
  const turnOfProbe = (): void => {
    const owesAnswer = probing || redis.status === 'connect';
    silentTurns = owesAnswer ? silentTurns + 1 : 0;
    if (silentTurns >= MAX_SILENT_TURNS) replace('silent');
    else if (!isUp) probe();
  };
  const probeTimer = setInterval(turnOfProbe, PROBE_MS).unref();

  redis.on('ready', probe);
  redis.on('error', (error: Error) => down(reasonOf(error)));
  redis.on('close', () => down('connection_closed'));

  return {
    get isUp() {
      return isUp;
    },
    get since() {
      return since;
    },
    async run(command) {
      if (!isUp) throw new DeadlineError('Redis is not in use.');
      const sentAt = now();
      try {
        const reply = await within(command(redis), deadlineMs);
        failures = 0;
        return reply;
      } catch (thrown) {
        if (!isRefusal(thrown) && sentAt >= failedAt) {
          failures += 1;
          failedAt = now();
          if (failures >= MAX_FAILURES) down(reasonOf(thrown));
        }
        throw thrown;
      }
    },
    send(command) {
      if (redis.status === 'ready') command(redis).catch(() => undefined);
    },
    async close() {
      closed = true;
      clearInterval(probeTimer);
      const ended = new Promise<void>((resolve) => redis.once('end', () => resolve()));
      if (redis.status === 'end') return;
      redis.disconnect();
      await within(ended, CONNECT_TIMEOUT_MS).catch(() => undefined);
    },
  };
};
