/** The processes that the primary starts: each is replaced when it dies, until the server ends. */
import { RestartBackoff } from '../exchanges/worker/worker-health.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import type { ProcessName } from './primary-protocol.js';

/** A process that has not been heard of for so long hangs. */
const HUNG_AFTER_MS: Millis = 15_000;
/** … and one that does not even begin to speak. */
const SPEAKS_WITHIN_MS: Millis = 60_000;
const WATCH_EVERY_MS: Millis = 1_000;

/** From a process that serves now. */
export interface ReadyMessage {
  readonly type: 'ready';
  /** Where it listens; empty for the feeder. */
  readonly addresses: readonly string[];
  readonly metricsAddress: string | null;
}
/** To a process: it ends in order. */
export interface EndMessage {
  readonly type: 'end';
}

/** The part of node's ChildProcess that is needed. */
interface Child {
  readonly pid?: number | undefined;
  readonly connected: boolean;
  send(message: EndMessage): unknown;
  kill(signal: 'SIGKILL'): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'exit', listener: (code: number | null, signal: string | null) => void): unknown;
}

export interface ChildrenOptions {
  /** Started in this order, ended in the reverse one. */
  readonly names: readonly ProcessName[];
  readonly fork: (name: ProcessName) => Child;
  /** Since the process was last heard of; null: it has not spoken yet. */
  readonly silentFor: (name: ProcessName) => Millis | null;
  readonly log: Log;
  readonly monotonic: () => Millis;
}

interface Slot {
  readonly name: ProcessName;
  readonly backoff: RestartBackoff;
  child: Child | null;
  startedAt: Millis;
  restarts: number;
  restart: NodeJS.Timeout | undefined;
  ready: ReadyMessage | null;
  /** Resolves with the exit code of its latest process. */
  ended: Promise<number>;
}

/** Why the server could not start: a process ended before it served. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
  constructor(
    process: ProcessName,
    readonly exitCode: number,
  ) {
    super(`The process ${process} ended with ${exitCode} before it served.`);
  }
}

const isReady = (message: unknown): message is ReadyMessage =>
  typeof message === 'object' && message !== null && (message as { type?: unknown }).type === 'ready';

export class Children {
  readonly #options: ChildrenOptions;
  readonly #slots: readonly Slot[];
  #watcher: NodeJS.Timeout | undefined;
  #ending = false;
  #settleStart: {
    resolve: (ready: readonly ReadyMessage[]) => void;
    reject: (why: StartFailure) => void;
  } | null = null;

  constructor(options: ChildrenOptions) {
    this.#options = options;
    this.#slots = options.names.map((name) => ({
      ...{ name, backoff: new RestartBackoff(), child: null, startedAt: 0, restarts: 0 },
      ...{ restart: undefined, ready: null, ended: Promise.resolve(0) },
    }));
  }

  /** How often each process was replaced. */
  get restarts(): ReadonlyMap<ProcessName, number> {
    return new Map(this.#slots.map(({ name, restarts }) => [name, restarts]));
  }

  /** Resolves when all serve; rejects with a StartFailure where one ends before. */
  start(): Promise<readonly ReadyMessage[]> {
    this.#watcher = setInterval(() => this.#watch(), WATCH_EVERY_MS).unref();
    return new Promise((resolve, reject) => {
      this.#settleStart = { resolve, reject };
      for (const slot of this.#slots) this.#fork(slot);
    });
  }

  /** Ends the processes named, all at once. Resolves with their exit codes. */
  async end(names: readonly ProcessName[]): Promise<readonly number[]> {
    this.#ending = true;
    clearInterval(this.#watcher);
    for (const { restart } of this.#slots) clearTimeout(restart);
    const chosen = this.#slots.filter(({ name }) => names.includes(name));
    for (const { child } of chosen) if (child?.connected === true) child.send({ type: 'end' });
    return Promise.all(chosen.map(({ ended }) => ended));
  }

  /** Whatever is left. */
  kill(): void {
    this.#ending = true;
    clearInterval(this.#watcher);
    for (const { child, restart } of this.#slots) {
      clearTimeout(restart);
      child?.kill('SIGKILL');
    }
  }

  #fork(slot: Slot): void {
    const { fork, monotonic, log } = this.#options;
    const child = fork(slot.name);
    slot.child = child;
    slot.startedAt = monotonic();
    child.on('error', (error) =>
      log.error({ child: slot.name, err: error }, 'a process could not be reached'),
    );
    child.on('message', (message) => {
      if (!isReady(message)) return;
      slot.ready = message;
      slot.backoff.started(monotonic());
      this.#tellReady();
    });
    slot.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (slot.child === child) slot.child = null;
        resolve(code ?? 1);
        this.#exited(slot, code, signal);
      });
    });
  }

  #tellReady(): void {
    const ready = this.#slots.flatMap((slot) => (slot.ready === null ? [] : [slot.ready]));
    if (ready.length < this.#slots.length) return;
    this.#settleStart?.resolve(ready);
    this.#settleStart = null;
  }

  #exited(slot: Slot, code: number | null, signal: string | null): void {
    if (this.#ending) return;
    const { log, monotonic } = this.#options;
    if (this.#settleStart !== null && slot.ready === null) {
      this.#settleStart.reject(new StartFailure(slot.name, code ?? 1));
      this.#settleStart = null;
      return;
    }
    const wait = slot.backoff.next(monotonic());
    slot.restarts += 1;
    log.warn(
      { child: slot.name, code, signal, waitMs: wait },
      'a process has ended; another one takes its place',
    );
    if (wait === 0) this.#fork(slot);
    else slot.restart = setTimeout(() => this.#fork(slot), wait);
  }

  #watch(): void {
    const { silentFor, monotonic, log } = this.#options;
    for (const { name, child, startedAt } of this.#slots) {
      if (child === null) continue;
      const silent = silentFor(name);
      const isHung = silent === null ? monotonic() - startedAt > SPEAKS_WITHIN_MS : silent > HUNG_AFTER_MS;
      if (!isHung) continue;
      log.error({ child: name }, 'a process hangs: it is ended');
      child.kill('SIGKILL');
    }
  }
}
