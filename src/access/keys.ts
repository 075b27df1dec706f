/** What can be done with keys, on whatever server: changes are in the store and on every server when a call resolves. */
import type { Scope } from './principal.js';
import type { KeyChange, KeyRow } from './store/store.js';

export interface NewKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly plan: string;
  /** ms since the epoch; null: never. */
  readonly expiresAt: number | null;
}

export interface IssuedKey {
  readonly row: KeyRow;
  /** The key itself, which is kept nowhere. */
  readonly key: string;
}

/** `actor`: id of the key that asks for the change, or `cli`. Calls reject with an AppError. */
export interface Keys {
  create(key: NewKey, actor: string): Promise<IssuedKey>;
  find(id: string): Promise<KeyRow | null>;
  list(page: { readonly limit: number; readonly after: string | null }): Promise<KeyRow[]>;
  update(id: string, change: KeyChange, actor: string): Promise<KeyRow | null>;
  /** `overlapMs`: how long the old key is still good. null: no such key, or it is revoked or rotated already. */
  rotate(id: string, overlapMs: number, actor: string): Promise<IssuedKey | null>;
  /** `confirmed`: servers that have dropped the key, this one counted. */
  revoke(id: string, actor: string): Promise<{ readonly row: KeyRow; readonly confirmed: number } | null>;
}
