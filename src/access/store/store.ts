/**
 * Where keys, plans, usage, tickets and the audit are kept: one interface over SQLite and PostgreSQL. Every change is a
 * transaction that also writes its line of the audit and gives each changed row a version of its own, so that the other
 * processes can read what is new. Calls reject with a StoreError.
 */
import type { Millis } from '../../schemas/common.js';
import type { Scope } from '../principal.js';

export interface KeyRow {
  readonly id: string;
  /** Whose limits it counts against; the same for a key and what it was rotated to. */
  readonly consumer: string;
  readonly name: string;
  /** SHA-256 of the whole key, hexadecimal. */
  readonly hash: string;
  readonly last4: string;
  readonly scopes: readonly Scope[];
  readonly plan: string;
  readonly createdAt: Millis;
  readonly expiresAt: Millis | null;
  readonly revokedAt: Millis | null;
  /** Id of the key that replaces it. */
  readonly rotatedTo: string | null;
  readonly leakedAt: Millis | null;
}

export interface PlanRow {
  readonly name: string;
  /** JSON object. */
  readonly limits: string;
}

export interface Changes {
  /** Of the newest change; what follows is everything newer than the version that was asked about. */
  readonly version: number;
  readonly keys: readonly KeyRow[];
  readonly plans: readonly PlanRow[];
}

export const AUDIT_ACTIONS = ['key.create', 'key.update', 'key.rotate', 'key.revoke', 'plan.set'] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export interface AuditEntry {
  readonly at: Millis;
  /** Id of a key, or `cli`. */
  readonly actor: string;
  readonly action: AuditAction;
  /** What was changed: an id or a name. */
  readonly target: string;
  readonly detail: string;
}

/** Who makes a change, and when. */
export interface Author {
  readonly actor: string;
  readonly at: Millis;
}

export type KeyChange = Partial<Pick<KeyRow, 'name' | 'scopes' | 'plan' | 'expiresAt'>>;

interface Rotation {
  readonly next: KeyRow;
  readonly expiresAt: Millis;
}

export interface UsageRow {
  readonly keyId: string;
  /** Start of the hour, ms since the epoch. */
  readonly hour: Millis;
  readonly requests: number;
  readonly units: number;
  readonly bytes: number;
  readonly streamSeconds: number;
  readonly refused: number;
}

export interface UsageDelta extends UsageRow {
  readonly consumer: string;
}

export interface TicketRow {
  /** SHA-256 of the ticket, hexadecimal. */
  readonly hash: string;
  /** Whose open tickets it is counted with: every key and token of one caller has the same. */
  readonly holder: string;
  /** Who it stands for, as its maker words it. */
  readonly principal: string;
  readonly purpose: string;
  readonly origin: string | null;
  readonly expiresAt: Millis;
}

export interface AccessStore {
  /** Of the newest change. */
  version(): Promise<number>;
  /** Everything with a version above `since`; 0: everything. */
  changesSince(since: number): Promise<Changes>;

  createKey(row: KeyRow, author: Author): Promise<void>;
  key(id: string): Promise<KeyRow | null>;
  /** By creation, behind the key with the id `after`. */
  keys(page: { readonly limit: number; readonly after: string | null }): Promise<KeyRow[]>;
  /** The changed row; null where there is none. */
  updateKey(id: string, change: KeyChange, author: Author): Promise<KeyRow | null>;
  /**
   * Writes `to.next`, and lets the key `id` expire at `to.expiresAt`, or when it did before where that is sooner. null: there is
   * no such key, or it is revoked or rotated already.
   */
  rotateKey(id: string, to: Rotation, author: Author): Promise<KeyRow | null>;
  /** The row, whose `revokedAt` is the first one where it was revoked before; null where there is none. */
  revokeKey(id: string, author: Author): Promise<KeyRow | null>;
  /** false: it was marked before, or is not known. */
  markLeaked(id: string, at: Millis): Promise<boolean>;

  plans(): Promise<PlanRow[]>;
  setPlan(row: PlanRow, author: Author): Promise<void>;
  /** Newest first. */
  audit(limit: number): Promise<AuditEntry[]>;

  /** Adds to what is there. */
  addUsage(deltas: readonly UsageDelta[]): Promise<void>;
  /** By hour, oldest first; of all keys where none is named. */
  usage(range: {
    readonly keyId: string | null;
    readonly since: Millis;
    readonly limit: number;
  }): Promise<UsageRow[]>;
  /** Units of each consumer in the hours from `since` on; those that have none are left out. */
  unitsSince(consumers: readonly string[], since: Millis): Promise<ReadonlyMap<string, number>>;

  /** false: the holder has `most` tickets open at `now`, and this one was not kept. */
  putTicket(row: TicketRow, bound: { readonly now: Millis; readonly most: number }): Promise<boolean>;
  /** Takes the ticket away: of all who ask for one, on whatever server, one gets it. null: there is none. */
  takeTicket(hash: string): Promise<TicketRow | null>;

  close(): Promise<void>;
}
