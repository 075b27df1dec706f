/**
 * All keys and plans of the store as live objects. A key that is not here does not exist: an unknown id needs no look-up.
 * About 1 kB a key.
 */
import type { Changes, KeyRow, PlanRow } from './store/store.js';
import { UNLIMITED, type Plan } from './plan.js';
import { limitsOfText } from './plan-limits.js';
import { Principal, type PrincipalState, type StreamWatch } from './principal.js';

interface RingKey {
  readonly principal: Principal;
  /** SHA-256 of the whole key. */
  readonly hash: Buffer;
}

export interface KeyRing {
  find(id: string): RingKey | undefined;
  /** One that is not set yet is unlimited, and takes over its limits when it is. */
  plan(name: string): Plan;
  hasPlan(name: string): boolean;
  /** Takes changes over; `whole`: they are all that there is, and what they lack is gone. */
  apply(changes: Changes, whole: boolean): void;
  readonly size: number;
}

/** `now`: when keys are taken for revoked that are not in the store any more. */
export const createKeyRing = ({
  watch,
  now,
}: {
  readonly watch: StreamWatch;
  readonly now: () => number;
}): KeyRing => {
  const keys = new Map<string, RingKey>();
  const plans = new Map<string, Plan>();
  /** Names of plans that are set. */
  const known = new Set<string>();

  const plan = (name: string): Plan => {
    let found = plans.get(name);
    if (found === undefined) plans.set(name, (found = { name, limits: UNLIMITED }));
    return found;
  };

  const setPlan = ({ name, limits }: PlanRow): void => {
    known.add(name);
    plan(name).limits = limitsOfText(limits);
  };

  const stateOf = ({ name, scopes, plan: planName, expiresAt, revokedAt }: KeyRow): PrincipalState => ({
    name,
    scopes: new Set(scopes),
    plan: plan(planName),
    expiresAt,
    revokedAt,
  });

  const setKey = (row: KeyRow): void => {
    const found = keys.get(row.id);
    if (found !== undefined) {
      found.principal.update(stateOf(row));
      return;
    }
    const who = { kind: 'key' as const, id: row.id, consumer: { id: row.consumer } };
    keys.set(row.id, {
      principal: new Principal(who, stateOf(row), watch),
      hash: Buffer.from(row.hash, 'hex'),
    });
  };

  const dropWhatIsGone = (rows: readonly KeyRow[]): void => {
    const there = new Set(rows.map(({ id }) => id));
    for (const [id, { principal }] of keys) {
      if (there.has(id)) continue;
      keys.delete(id);
      const { name, scopes, plan: itsPlan, expiresAt } = principal;
      principal.update({ name, scopes, plan: itsPlan, expiresAt, revokedAt: now() });
    }
  };

  return {
    find: (id) => keys.get(id),
    plan,
    hasPlan: (name) => known.has(name),
    apply(changes, whole) {
      if (whole) dropWhatIsGone(changes.keys);
      for (const row of changes.plans) setPlan(row);
      for (const row of changes.keys) setKey(row);
    },
    get size() {
      return keys.size;
    },
  };
};
