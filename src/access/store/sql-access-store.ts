/** The store of keys in SQL that SQLite and PostgreSQL take alike. */
import type { Sql } from '../../ledger/sql.js';
import { StoreError } from '../../ledger/store-error.js';
import type { Millis } from '../../schemas/common.js';
import { auditOf, keyOf, numberIn, planOf, textIn, ticketOf, usageOf, type Row } from './rows.js';
import type {
  AccessStore,
  AuditAction,
  Author,
  KeyChange,
  KeyRow,
  PlanRow,
  TicketRow,
  UsageDelta,
} from './store.js';

/** What a database does beside its statements. */
export interface AccessDatabase extends Sql {
  /** All or nothing. What is written is on the disk when it resolves. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Within a transaction: tells the other servers that there is a new version, where the database can do that. */
  announce(sql: Sql, version: number): Promise<void>;
  close(): Promise<void>;
}

const KEY_COLUMNS =
  'id, consumer_id, name, hash, last4, scopes, plan, created_at, expires_at, revoked_at, rotated_to, leaked_at';
const INSERT_KEY = `INSERT INTO access_keys (${KEY_COLUMNS}, version)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`;
const ADD_USAGE = `INSERT INTO access_usage (key_id, consumer_id, hour, requests, units, bytes, stream_seconds, refused)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (key_id, hour) DO UPDATE SET requests = access_usage.requests + excluded.requests,
    units = access_usage.units + excluded.units, bytes = access_usage.bytes + excluded.bytes,
    stream_seconds = access_usage.stream_seconds + excluded.stream_seconds,
    refused = access_usage.refused + excluded.refused`;
/** Consumers that one question names at most. */
const CONSUMERS_A_QUERY = 500;
const TICKET_COLUMNS = 'hash, holder, principal, purpose, origin, expires_at';
/** Expired tickets that a new one sweeps away at most. */
const SWEPT_TICKETS = 100;

const insertKey = async (sql: Sql, row: KeyRow, version: number): Promise<void> => {
  await sql.run(INSERT_KEY, [
    ...[row.id, row.consumer, row.name, row.hash, row.last4, row.scopes.join(','), row.plan, row.createdAt],
    ...[row.expiresAt, row.revokedAt, row.rotatedTo, row.leakedAt, version],
  ]);
};

/** Holds every other change back until this one is committed: versions become visible in their order. */
const nextVersion = async (sql: Sql): Promise<number> => {
  const [row] = await sql.all('UPDATE access_version SET v = v + 1 RETURNING v');
  return numberIn(row, 'v');
};

const readKey = async (sql: Sql, id: string): Promise<KeyRow | null> => {
  const [row] = await sql.all(`SELECT ${KEY_COLUMNS} FROM access_keys WHERE id = $1`, [id]);
  return row === undefined ? null : keyOf(row);
};

/** What of `change` differs from `row`, in words for the audit. */
const changedMembers = (row: KeyRow, change: KeyChange): string =>
  Object.entries(change)
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(row[name as keyof KeyChange]))
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ');

interface Change<T> {
  readonly author: Author;
  readonly action: AuditAction;
  readonly target: string;
  /** null: nothing was changed, and nothing is told. */
  readonly work: (
    sql: Sql,
    version: number,
  ) => Promise<{ readonly value: T; readonly detail: string } | null>;
}

/** A kind of StoreError, since databases let those through as they are. */
class Nothing extends StoreError {
  constructor() {
    super('unavailable', 'There was nothing to change.');
  }
}

export const createSqlAccessStore = (db: AccessDatabase): AccessStore => {
  /** Calls `work` with a new version, and writes the line of the audit. Nothing stays where it gives null. */
  const change = async <T>({ author, action, target, work }: Change<T>): Promise<T | null> => {
    try {
      return await db.transaction(async (sql) => {
        const version = await nextVersion(sql);
        const done = await work(sql, version);
        if (done === null) throw new Nothing();
        await sql.run(
          'INSERT INTO access_audit (at, actor, action, target, detail) VALUES ($1, $2, $3, $4, $5)',
          [...[author.at, author.actor, action, target, done.detail]],
        );
        await db.announce(sql, version);
        return done.value;
      });
    } catch (thrown) {
      if (thrown instanceof Nothing) return null;
      throw thrown;
    }
  };

  const newer = <T>(from: string, since: number, read: (row: Row) => T): Promise<T[]> =>
    db
      .all(`SELECT ${from} WHERE version > $1 ORDER BY version`, [since])
      .then((rows) => rows.map((row) => read(row)));

  const version = async (): Promise<number> =>
    numberIn((await db.all('SELECT v FROM access_version'))[0], 'v');

  return {
    version,
    async changesSince(since) {
      // Read first: what is committed meanwhile is read twice, never passed over.
      const reached = await version();
      // Both at once: a revocation takes as long as this, and a database may be far away.
      const [keys, plans] = await Promise.all([
        newer(`${KEY_COLUMNS} FROM access_keys`, since, keyOf),
        newer('name, limits FROM access_plans', since, planOf),
      ]);
      return { version: reached, keys, plans };
    },

    async createKey(row, author) {
      await change({
        ...{ author, action: 'key.create' as const, target: row.id },
        async work(sql, next) {
          await insertKey(sql, row, next);
          return { value: null, detail: `name=${row.name} scopes=${row.scopes.join(',')} plan=${row.plan}` };
        },
      });
    },
    key: (id) => readKey(db, id),
    async keys({ limit, after }) {
      const rows = await db.all(
        `SELECT ${KEY_COLUMNS} FROM access_keys
         WHERE $1 = '' OR (created_at, id) > (SELECT created_at, id FROM access_keys WHERE id = $1)
         ORDER BY created_at, id LIMIT $2`,
        [after ?? '', limit],
      );
      return rows.map(keyOf);
    },
    updateKey: (id, members, author) =>
      change({
        ...{ author, action: 'key.update' as const, target: id },
        async work(sql, next) {
          const row = await readKey(sql, id);
          if (row === null) return null;
          const value = { ...row, ...members };
          await sql.run(
            'UPDATE access_keys SET name = $2, scopes = $3, plan = $4, expires_at = $5, version = $6 WHERE id = $1',
            [id, value.name, value.scopes.join(','), value.plan, value.expiresAt, next],
          );
          return { value, detail: changedMembers(row, members) };
        },
      }),
    rotateKey: (id, { next: replacement, expiresAt }, author) =>
      change({
        ...{ author, action: 'key.rotate' as const, target: id },
        async work(sql, first) {
          const row = await readKey(sql, id);
          if (row?.revokedAt !== null || row.rotatedTo !== null) return null;
          const until = Math.min(row.expiresAt ?? Infinity, expiresAt);
          await sql.run(
            'UPDATE access_keys SET expires_at = $2, rotated_to = $3, version = $4 WHERE id = $1',
            [...[id, until, replacement.id, first]],
          );
          await insertKey(sql, replacement, await nextVersion(sql));
          return { value: replacement, detail: `to=${replacement.id} expires_at=${until}` };
        },
      }),
    async revokeKey(id, author) {
      const revoked = await change({
        ...{ author, action: 'key.revoke' as const, target: id },
        async work(sql, next) {
          const row = await readKey(sql, id);
          if (row?.revokedAt !== null) return null;
          await sql.run('UPDATE access_keys SET revoked_at = $2, version = $3 WHERE id = $1', [
            id,
            author.at,
            next,
          ]);
          return { value: { ...row, revokedAt: author.at }, detail: '' };
        },
      });
      return revoked ?? readKey(db, id);
    },
    markLeaked: async (id, at) =>
      (await db.run('UPDATE access_keys SET leaked_at = $2 WHERE id = $1 AND leaked_at IS NULL', [id, at])) >
      0,

    plans: async () => (await db.all('SELECT name, limits FROM access_plans ORDER BY name')).map(planOf),
    async setPlan({ name, limits }: PlanRow, author) {
      await change({
        ...{ author, action: 'plan.set' as const, target: name },
        async work(sql, next) {
          await sql.run(
            `INSERT INTO access_plans (name, limits, version) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET limits = excluded.limits, version = excluded.version`,
            [name, limits, next],
          );
          return { value: null, detail: limits };
        },
      });
    },
    audit: async (limit) =>
      (
        await db.all('SELECT at, actor, action, target, detail FROM access_audit ORDER BY id DESC LIMIT $1', [
          limit,
        ])
      ).map(auditOf),

    async addUsage(deltas: readonly UsageDelta[]) {
      if (deltas.length === 0) return;
      // In one order everywhere: two servers that write the same keys would else wait for each other for ever.
      const ordered = [...deltas].sort((a, b) =>
        a.keyId < b.keyId ? -1 : a.keyId > b.keyId ? 1 : a.hour - b.hour,
      );
      await db.transaction(async (sql) => {
        for (const { keyId, consumer, hour, requests, units, bytes, streamSeconds, refused } of ordered)
          await sql.run(ADD_USAGE, [keyId, consumer, hour, requests, units, bytes, streamSeconds, refused]);
      });
    },
    async usage({ keyId, since, limit }) {
      const rows = await db.all(
        `SELECT key_id, hour, requests, units, bytes, stream_seconds, refused FROM access_usage
         WHERE hour >= $1 AND ($2 = '' OR key_id = $2) ORDER BY hour, key_id LIMIT $3`,
        [since, keyId ?? '', limit],
      );
      return rows.map(usageOf);
    },
    async unitsSince(consumers: readonly string[], since: Millis) {
      const found = new Map<string, number>();
      for (let from = 0; from < consumers.length; from += CONSUMERS_A_QUERY) {
        const some = consumers.slice(from, from + CONSUMERS_A_QUERY);
        const places = some.map((_, index) => `$${index + 2}`).join(', ');
        const rows = await db.all(
          `SELECT consumer_id, SUM(units) AS units FROM access_usage
           WHERE hour >= $1 AND consumer_id IN (${places}) GROUP BY consumer_id`,
          [since, ...some],
        );
        for (const row of rows) found.set(textIn(row, 'consumer_id'), numberIn(row, 'units'));
      }
      return found;
    },

    putTicket: (row: TicketRow, { now, most }) =>
      db.transaction(async (sql) => {
        await sql.run(
          `DELETE FROM access_tickets WHERE hash IN
             (SELECT hash FROM access_tickets WHERE expires_at <= $1 LIMIT ${SWEPT_TICKETS})`,
          [now],
        );
        const [open] = await sql.all(
          'SELECT COUNT(*) AS n FROM access_tickets WHERE holder = $1 AND expires_at > $2',
          [row.holder, now],
        );
        if (numberIn(open, 'n') >= most) return false;
        await sql.run(`INSERT INTO access_tickets (${TICKET_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)`, [
          row.hash,
          row.holder,
          row.principal,
          row.purpose,
          row.origin,
          row.expiresAt,
        ]);
        return true;
      }),
    async takeTicket(hash) {
      const [row] = await db.all(`DELETE FROM access_tickets WHERE hash = $1 RETURNING ${TICKET_COLUMNS}`, [
        hash,
      ]);
      return row === undefined ? null : ticketOf(row);
    },
    close: () => db.close(),
  };
};
