/**
 * The keys of one issuer, kept as fresh as they can be: loaded at the start and every hour, and where a token names a key
 * that is not known. There is at most one reload in RELOAD_INTERVAL, whatever tokens come and whether or not it succeeds;
 * while the issuer cannot be reached, the last good set serves for a day.
 */
import { AppError } from '../../errors.js';
import { settleWithin } from '../../lib/deadline.js';
import type { Timers } from '../../lib/timers.js';
import type { Log } from '../../log/log.js';
import { createOutage, type Outage } from '../../log/outage.js';
import type { Millis } from '../../schemas/common.js';
import { discoverJwksUri } from './discovery.js';
import { IssuerFault, type IssuerHttp } from './issuer-http.js';
import { readKeySet, type KeySet } from './key-set.js';

/** At least this long from the beginning of one load to the beginning of the next. */
export const RELOAD_INTERVAL: Millis = 30_000;
const REFRESH_INTERVAL: Millis = 3_600_000;
/** How long a set serves that could not be refreshed. */
const MAX_AGE: Millis = 24 * 3_600_000;
/** A load takes up to three requests; nobody waits longer than this for it. */
const LOAD_DEADLINE: Millis = 8_000;

export interface IssuerKeysOptions {
  readonly issuer: string;
  readonly http: Pick<IssuerHttp, 'getJson'>;
  readonly log: Log;
  readonly timers: Timers;
  /** The clock of durations. */
  readonly monotonic: () => Millis;
  /** Ids of keys that are gone, or have become others under the same id. */
  readonly onGone: (kids: readonly string[]) => void;
}

export interface IssuerHealth {
  readonly issuer: string;
  /** ok: the last load was good; stale: an older one serves; unavailable: there is none. */
  readonly state: 'ok' | 'stale' | 'unavailable';
  readonly since: Millis;
}

const unavailable = (): AppError =>
  new AppError('auth_unavailable', 'The keys of the issuer cannot be loaded at the moment.', {
    retryAfterMs: RELOAD_INTERVAL,
  });

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #outage: Outage;
  #set: { readonly keys: KeySet; readonly loadedAt: Millis } | null = null;
  #jwksUri: string | null = null;
  #attemptedAt: Millis = -Infinity;
  #discoveredAt: Millis = -Infinity;
  #failing = false;
  #losses = 0;
  /** A token has named a key that is not known, too soon for another load. */
  #wanted = false;
  #loading: Promise<void> | null = null;
  #cancelTimer: () => void = () => undefined;
  #closed = false;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    const { issuer, log, monotonic } = options;
    this.#outage = createOutage({
      log,
      now: monotonic,
      warning: `The keys of the issuer ${issuer} cannot be loaded; those that are known serve on.`,
      recovery: `The keys of the issuer ${issuer} are loaded again.`,
    });
  }

  /** The first load, and whatever follows from it; idempotent while a load runs. */
  start(): void {
    void this.#load();
  }

  health(): IssuerHealth {
    const state =
      !this.#failing && this.#set !== null ? 'ok' : this.#current() === null ? 'unavailable' : 'stale';
    return { issuer: this.#options.issuer, state, since: this.#outage.since };
  }

  /**
   * A set that has the key `kid` (undefined: any set). Rejects with `auth_unavailable` where there is none and the last
   * load failed; null: the issuer has no such key.
   */
  async holding(kid: string | undefined): Promise<KeySet | null> {
    const known = this.#current();
    if (known !== null && (kid === undefined || known.keys.has(kid))) return known;
    await this.#reload();
    const current = this.#current();
    if (current === null) throw unavailable();
    if (kid === undefined || current.keys.has(kid)) return current;
    if (this.#failing) throw unavailable();
    return null;
  }

  /** How often keys have gone so far. */
  get losses(): number {
    return this.#losses;
  }

  /** Something does not fit the keys that are known: they are loaded anew as soon as that may be. */
  want(): void {
    this.#wanted = true;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #current(): KeySet | null {
    if (this.#set === null) return null;
    return this.#options.monotonic() - this.#set.loadedAt <= MAX_AGE ? this.#set.keys : null;
  }

  async #reload(): Promise<void> {
    if (this.#loading === null && this.#options.monotonic() - this.#attemptedAt < RELOAD_INTERVAL)
      this.want();
    else await this.#load();
  }

  /** Never rejects. */
  #load(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#loading ??= this.#attempt().finally(() => {
      this.#loading = null;
      this.#schedule();
    });
    return this.#loading;
  }

  async #attempt(): Promise<void> {
    const { issuer, monotonic } = this.#options;
    this.#attemptedAt = monotonic();
    this.#wanted = false;
    try {
      const giveUp = () => new IssuerFault('no answer in time');
      this.#take(await settleWithin(this.#fetch(), { ms: LOAD_DEADLINE, giveUp }));
      this.#failing = false;
      this.#outage.end();
    } catch (thrown) {
      this.#failing = true;
      const reason = thrown instanceof IssuerFault ? thrown.message : 'an unexpected fault';
      this.#outage.begin({ issuer, reason });
    }
  }

  async #fetch(): Promise<KeySet> {
    const { http, issuer, monotonic } = this.#options;
    const getJson = (url: string): Promise<unknown> => http.getJson(url);
    if (this.#jwksUri === null || monotonic() - this.#discoveredAt >= REFRESH_INTERVAL) {
      try {
        this.#jwksUri = await discoverJwksUri(issuer, getJson);
        this.#discoveredAt = monotonic();
      } catch (thrown) {
        if (this.#jwksUri === null) throw thrown;
      }
    }
    try {
      return readKeySet(await getJson(this.#jwksUri));
    } catch (thrown) {
      // It may have moved: the next attempt looks where.
      this.#discoveredAt = -Infinity;
      throw thrown;
    }
  }

  #take(next: KeySet): void {
    const before = this.#set?.keys.keys ?? new Map<string, string>();
    this.#set = { keys: next, loadedAt: this.#options.monotonic() };
    const gone = [...before].filter(([kid, text]) => next.keys.get(kid) !== text).map(([kid]) => kid);
    if (gone.length === 0) return;
    this.#losses += 1;
    this.#options.onGone(gone);
  }

  #schedule(): void {
    this.#cancelTimer();
    if (this.#closed || this.#loading !== null) return;
    const { timers, monotonic } = this.#options;
    const interval = this.#failing || this.#wanted ? RELOAD_INTERVAL : REFRESH_INTERVAL;
    const wait = Math.max(0, this.#attemptedAt + interval - monotonic());
    this.#cancelTimer = timers.after(wait, () => void this.#load());
  }
}
