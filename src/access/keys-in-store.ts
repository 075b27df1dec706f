/** Creates, changes, rotates and revokes keys in the store, and sees to it that every server knows. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import { storeAnswer } from './admit.js';
import { hashOf, idOf, last4Of, makeKey } from './key-format.js';
import type { IssuedKey, Keys, NewKey } from './keys.js';
import { DEFAULT_PLAN } from './plan.js';
import type { AccessStore, KeyChange, KeyRow } from './store/store.js';

export interface KeysDeps {
  /** Throws `auth_unavailable`. */
  readonly store: () => AccessStore;
  /** Makes this process know what was committed. */
  readonly refresh: () => Promise<void>;
  /** Tells the other servers; how many servers know it within a moment, this one counted. */
  readonly tellOthers: () => Promise<number>;
  readonly now: () => Millis;
}

const refuse = (parameter: string, reason: string): AppError =>
  new AppError('invalid_request', `${parameter} ${reason}.`, { errors: [{ parameter, reason }] });

const MAX_NAME_LENGTH = 200;
const hasControls = (text: string): boolean => /[\p{Cc}\p{Cf}]/u.test(text);

export const createKeys = ({ store, refresh, tellOthers, now }: KeysDeps): Keys => {
  const check = async ({ name, scopes, plan, expiresAt }: KeyChange): Promise<void> => {
    if (name !== undefined && (name.trim() === '' || name.length > MAX_NAME_LENGTH || hasControls(name)))
      throw refuse('name', `must be 1 to ${MAX_NAME_LENGTH} characters without control characters`);
    if (scopes?.length === 0) throw refuse('scopes', 'must name at least one scope');
    if (expiresAt !== undefined && expiresAt !== null && expiresAt <= now())
      throw refuse('expires_at', 'is in the past');
    if (plan === undefined || plan === DEFAULT_PLAN) return;
    const plans = await store().plans();
    if (!plans.some((known) => known.name === plan))
      throw refuse('plan', `names no plan that is set: ${plan}`);
  };

  /** Known here and told before the answer is given. */
  const changed = async <T>(work: () => Promise<T>): Promise<T> => {
    const value = await storeAnswer(work);
    await refresh();
    void tellOthers();
    return value;
  };

  const issue = ({ name, scopes, plan, expiresAt }: NewKey, consumer?: string): IssuedKey => {
    const key = makeKey();
    const id = idOf(key);
    return {
      key,
      row: {
        ...{ id, consumer: consumer ?? id, name, hash: hashOf(key), last4: last4Of(key), plan, expiresAt },
        scopes: [...new Set(scopes)],
        createdAt: now(),
        revokedAt: null,
        rotatedTo: null,
        leakedAt: null,
      },
    };
  };

  const rotated = async (old: KeyRow, overlapMs: number, actor: string): Promise<IssuedKey | null> => {
    const at = now();
    const issued = issue(old, old.consumer);
    const row = await store().rotateKey(
      old.id,
      { next: issued.row, expiresAt: at + overlapMs },
      { actor, at },
    );
    return row === null ? null : issued;
  };

  return {
    async create(given, actor) {
      await storeAnswer(() => check(given));
      const issued = issue(given);
      await changed(() => store().createKey(issued.row, { actor, at: issued.row.createdAt }));
      return issued;
    },
    find: (id) => storeAnswer(async () => store().key(id)),
    list: (page) => storeAnswer(async () => store().keys(page)),
    async update(id, change, actor) {
      await storeAnswer(() => check(change));
      return changed(() => store().updateKey(id, change, { actor, at: now() }));
    },
    async rotate(id, overlapMs, actor) {
      const old = await storeAnswer(async () => store().key(id));
      return old === null ? null : changed(() => rotated(old, overlapMs, actor));
    },
    async revoke(id, actor) {
      const row = await storeAnswer(async () => store().revokeKey(id, { actor, at: now() }));
      if (row === null) return null;
      await refresh();
      return { row, confirmed: await tellOthers() };
    },
  };
};
