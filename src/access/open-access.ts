/** Puts access together from its settings; imported only where AUTH_MODE is not off. */
import { AppError } from '../errors.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import type { Access, OtherCredentials } from './access.js';
import { createAdmit, credentialOf, faultOf, invalid } from './admit.js';
import { CHANGED, CONFIRMED, createConfirmations } from './confirmations.js';
import { createExpiryWatch } from './expiry-watch.js';
import { createFailedAttempts } from './failed-attempts.js';
import { hashOf, idOf, keyInUrl } from './key-format.js';
import { createKeyRing } from './key-ring.js';
import { createKeys } from './keys-in-store.js';
import { joinNotices, type Notices } from './notify/notices.js';
import { UNLIMITED } from './plan.js';
import { DEFAULT_SCOPES, Principal } from './principal.js';
import type { AccessStore } from './store/store.js';
import { createSync } from './sync.js';
import { createTickets } from './tickets.js';

export type AccessLocation =
  { readonly kind: 'sqlite'; readonly file: string } | { readonly kind: 'postgres'; readonly url: string };

export interface AccessOptions {
  readonly mode: Access['mode'];
  readonly location: AccessLocation;
  /** null: the callers without a credential have no plan. */
  readonly anonymousPlan: string | null;
  readonly syncIntervalMs: Millis;
  readonly maxStaleMs: Millis;
  readonly ticketTtlMs: Millis;
  /** null: Redis is not enabled. */
  readonly redis: { readonly url: string; readonly prefix: string } | null;
  /** A way to the other processes of this server; default: there are none. */
  readonly processes?: Notices | null | undefined;
  readonly log: Log;
  /** ms since the epoch. */
  readonly now: () => Millis;
  /** The clock of durations. */
  readonly monotonic: () => Millis;
}

/** How long a start waits for the store; it goes on opening behind that. */
const OPEN_WITHIN_MS = 3_000;

/** Rejects with a StoreError. `create` false: a file that is not there is a fault. */
export const openAccessStore = async (location: AccessLocation, create: boolean): Promise<AccessStore> => {
  if (location.kind === 'postgres') {
    const { openPostgresAccessStore } = await import('./store/postgres-access-store.js');
    return openPostgresAccessStore(location.url);
  }
  const { openSqliteAccessStore } = await import('./store/sqlite-access-store.js');
  return openSqliteAccessStore({ file: location.file, create });
};

/** Every way by which the other servers of this store can be told. */
const openNotices = async (
  { location, redis, processes = null }: Pick<AccessOptions, 'location' | 'redis' | 'processes'>,
  joined: () => void,
): Promise<{ notices: Notices; isAlone: boolean }> => {
  const ways: Notices[] = [];
  if (location.kind === 'postgres') {
    const { ACCESS_CHANNEL, createPostgresNotices } = await import('./store/postgres-notices.js');
    ways.push(createPostgresNotices({ url: location.url, channel: ACCESS_CHANNEL, joined }));
  }
  if (redis !== null) {
    const { createRedisNotices } = await import('./notify/redis-notices.js');
    ways.push(
      createRedisNotices({
        url: redis.url,
        prefix: `${redis.prefix}:access`,
        topics: [CHANGED, CONFIRMED],
        joined,
      }),
    );
  }
  if (processes !== null) ways.push(processes);
  return { notices: joinNotices(ways), isAlone: ways.length === 0 };
};

/** Never rejects: what cannot be opened is opened later, and refuses meanwhile. */
export const openAccess = async (options: AccessOptions): Promise<Access> => {
  const { mode, location, anonymousPlan, syncIntervalMs, maxStaleMs, ticketTtlMs, log, now, monotonic } =
    options;
  const watch = createExpiryWatch(now);
  const ring = createKeyRing({ watch, now });
  const sync = createSync({
    open: (create) => openAccessStore(location, create),
    reopens: location.kind === 'sqlite',
    apply: (changes, whole) => ring.apply(changes, whole),
    ...{ intervalMs: syncIntervalMs, maxStaleMs, now, monotonic, log },
  });
  const refresh = (): void => void sync.refresh();
  const { notices, isAlone } = await openNotices(options, refresh);
  const confirmations = createConfirmations(notices, { refresh: () => sync.refresh(), isAlone });
  const keys = createKeys({
    store: () => sync.store(),
    refresh: () => sync.refresh(),
    tellOthers: () => confirmations.tellOthers(),
    now,
  });
  const anonymous = new Principal(
    { kind: 'anonymous', id: 'anonymous', consumer: { id: 'anonymous' } },
    {
      name: 'anonymous',
      scopes: new Set(DEFAULT_SCOPES),
      plan: anonymousPlan === null ? { name: 'anonymous', limits: UNLIMITED } : ring.plan(anonymousPlan),
      expiresAt: null,
      revokedAt: null,
    },
  );
  let others: OtherCredentials | null = null;
  const failures = createFailedAttempts(monotonic, (options.processes ?? null) !== null);
  const admit = createAdmit({
    ...{ mode, anonymous, ring, now },
    isServing: () => sync.isServing(),
    others: () => others,
  });

  const markLeaked = async (key: string): Promise<void> => {
    const id = idOf(key);
    const known = ring.find(id);
    if (known?.hash.equals(Buffer.from(hashOf(key), 'hex')) !== true) return;
    try {
      if (!(await sync.store().markLeaked(id, now()))) return;
    } catch {
      // Told all the same: the warning is what somebody acts on.
    }
    log.warn({ key: id }, 'a key was sent in a URL and counts as leaked: rotate or revoke it');
  };

  const late = new Promise<void>((resolve) => setTimeout(resolve, OPEN_WITHIN_MS).unref());
  await Promise.race([sync.refresh(), late]);

  return {
    mode,
    anonymous,
    admit,
    async ask(request) {
      const credential = credentialOf(request);
      if (others === null || typeof credential !== 'string') return invalid();
      const found = await others.verify(credential);
      return found instanceof AppError ? found : (faultOf(found, now()) ?? found);
    },
    failed(refusal, client) {
      return refusal.code === 'invalid_credentials' ? (failures.add(client) ?? refusal) : refusal;
    },
    barred: (client) => failures.barred(client),
    failures: failures.limiter,
    urlFault(url) {
      const key = keyInUrl(url);
      if (key === null) return undefined;
      void markLeaked(key);
      return new AppError(
        'credential_in_url',
        'A key must not stand in a URL. Send it in the header Authorization or X-API-Key, and replace this one.',
      );
    },
    keys,
    keyPrincipal: (id) => ring.find(id)?.principal,
    planNamed: (name) => ring.plan(name),
    plan: (name) => (ring.hasPlan(name) ? ring.plan(name) : undefined),
    store: () => sync.store(),
    refresh: () => sync.refresh(),
    changed: async () => {
      await sync.refresh();
      void confirmations.tellOthers();
    },
    tickets: createTickets({
      store: () => sync.store(),
      refresh: () => sync.refresh(),
      keyPrincipal: (id) => ring.find(id)?.principal,
      plan: (name) => ring.plan(name),
      ...{ ttlMs: ticketTtlMs, now, watch },
    }),
    health() {
      const own = sync.health();
      return own.state === 'ok' ? (others?.health() ?? own) : own;
    },
    isServing: () => sync.isServing(),
    use(more) {
      others = more;
    },
    async close() {
      watch.close();
      confirmations.close();
      await notices.close();
      await sync.close();
    },
  };
};
