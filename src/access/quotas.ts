/**
 * What a plan allows a caller to ask for: requests a window, units a day and a month. Counted per consumer (a key and
 * what it was rotated to), of callers without a credential per address. Runs on every request, so it only counts; who
 * tells servers of each other's counts works behind it (client-limiter-sharing.ts for windows, metering.ts for units).
 */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import {
  createClientLimiter,
  type LimitState,
  type SharableLimiter,
  type WindowRule,
} from './client-limiter.js';
import type { Principal } from './principal.js';
import type { WindowLeases } from './window-leases.js';
import { createWindowRules } from './window-rules.js';
import { Units, type UnitsChange, type UsedUnits } from './units.js';

/** What of a principal decides how it is counted. */
export type Counted = Pick<Principal, 'kind' | 'plan' | 'consumer'>;

/** Who is counted: `client` is the address, as client.ts of the HTTP module words it. */
export interface Caller<P extends Counted = Counted> {
  readonly principal: P;
  readonly client: string;
}

/** One limit with its state, as RateLimit-Policy and RateLimit tell it. */
export interface LimitEntry {
  readonly name: 'window' | 'day' | 'month';
  /** Requests of the window, units of the day and month. */
  readonly quota: number;
  readonly windowMs: Millis;
  readonly remaining: number;
  /** From now to the moment at which it begins anew. */
  readonly resetMs: Millis;
}

interface PerLimit<T> {
  readonly window: T;
  readonly day: T;
  readonly month: T;
}

interface Standing {
  readonly used: PerLimit<number>;
  /** ms since the epoch; null where there is no limit. */
  readonly resets: PerLimit<Millis | null>;
}

export interface QuotasOptions {
  /** Of callers without a credential, beside what their plan says; null: none. */
  readonly clientRule: WindowRule | null;
  /** Windows are told to other servers. */
  readonly shared: boolean;
  /** The units of addresses are told to others; default: as windows are. */
  readonly sharesUnits?: boolean | undefined;
  /** What is done with units here, for processes that share the quotas; default: there are none. */
  readonly onUnits?: ((change: UnitsChange) => void) | undefined;
  /** The wall clock, for days and months. */
  readonly now: () => Millis;
  /** The clock of windows. */
  readonly monotonic: () => Millis;
}

export interface Quotas {
  /**
   * Counts one request, or `count`, against the window. Gives what refuses it, or undefined. `free`: it costs no units,
   * and is not refused where day or month are used up.
   */
  take(caller: Caller, options?: { readonly free?: boolean; readonly count?: number }): AppError | undefined;
  /** The same for one request where other processes must be asked; `take` does where `isDecided`. Never rejects. */
  takeAsked(caller: Caller, options?: { readonly free?: boolean }): Promise<AppError | undefined>;
  /** Whether it is known here whether one more request is within the caller's window. */
  isDecided(caller: Caller): boolean;
  /** What refuses a request that will cost `units`, or undefined. Counts nothing. */
  refusalOf(caller: Caller, units: number): AppError | undefined;
  /**
   * Sets units aside for a request that will cost as many: what comes meanwhile is refused where both together are more than
   * there are. Gives what refuses it, or undefined; then `release` follows, once they are spent or not needed.
   */
  hold(caller: Caller, units: number): AppError | undefined;
  release(caller: Caller, units: number): void;
  /** Counts units of an answer that was given. */
  spend(caller: Caller, units: number): void;
  /** The limits that the caller has. Counts nothing. */
  limits(caller: Caller): readonly LimitEntry[];
  standing(caller: Caller): Standing;
  /** false: what the consumer used before is not known here yet, and `take` must wait for it. */
  isKnown(principal: Counted): boolean;
  /** Of consumers. */
  readonly units: Units;
  /** To be shared with other servers. */
  readonly limiters: readonly SharableLimiter[];
  /** Of these, the windows of requests. */
  readonly windows: readonly SharableLimiter[];
  readonly addressUnits: SharableLimiter;
  /** From now on windows are those of all processes. */
  leaseBy(leases: WindowLeases): void;
}

const MONTH_MS = 31 * 86_400_000;
const DAY_MS = 86_400_000;

const isAnonymous = ({ kind }: Counted): boolean => kind === 'anonymous';

const tooMany = ({ requests, windowMs }: WindowRule, retryAfterMs: Millis): AppError =>
  new AppError('client_rate_limited', `More than ${requests} requests within ${windowMs / 1000} seconds.`, {
    retryAfterMs,
    violatedPolicies: ['window'],
  });

export const createQuotas = ({
  clientRule,
  shared,
  sharesUnits = shared,
  onUnits,
  now,
  monotonic,
}: QuotasOptions): Quotas => {
  // Each hit brings its own rule. Apart, so that a flood of addresses makes no key's count be forgotten.
  const limiterOf = (isShared: boolean) =>
    createClientLimiter({ requests: 1, windowMs: 60_000, shared: isShared });
  const [addresses, consumers] = [limiterOf(shared), limiterOf(shared)];
  const addressUnits = limiterOf(sharesUnits);
  let leases: WindowLeases | null = null;
  const accounts = new Units({ now, onChange: onUnits });
  const ruleOf = createWindowRules(clientRule);

  const windowOf = ({ principal, client }: Caller): readonly [SharableLimiter, string] =>
    isAnonymous(principal) ? [addresses, client] : [consumers, `key:${principal.consumer.id}`];

  /** Units that are set aside, by the key of their caller's window. */
  const held = new Map<string, number>();
  const heldBy = (caller: Caller): number => (held.size === 0 ? 0 : (held.get(windowOf(caller)[1]) ?? 0));
  const addHeld = (caller: Caller, units: number): void => {
    const [, key] = windowOf(caller);
    const sum = (held.get(key) ?? 0) + units;
    if (sum > 0) held.set(key, sum);
    else held.delete(key);
  };

  /** A day and a month of an address are windows whose key says which. */
  const addressKeys = (client: string) => {
    const { day, month } = accounts.periods();
    return { day: `day:${day}:${client}`, month: `month:${month}:${client}` };
  };

  const usedOf = ({ principal, client }: Caller): UsedUnits => {
    if (!isAnonymous(principal)) return accounts.used(principal.consumer.id);
    const { day, month } = principal.plan.limits;
    const keys = addressKeys(client);
    const of = (key: string, requests: number | null, windowMs: Millis): number => {
      if (requests === null) return 0;
      return requests - addressUnits.look(key, monotonic(), { requests, windowMs }).remaining;
    };
    return { day: of(keys.day, day, DAY_MS), month: of(keys.month, month, MONTH_MS) };
  };

  /** What refuses a request that costs `units` at least. */
  const exceeded = (caller: Caller, units: number): AppError | undefined => {
    const { day, month } = caller.principal.plan.limits;
    if (day === null && month === null) return undefined;
    const used = usedOf(caller);
    const cost = units + heldBy(caller);
    const isDay = day !== null && used.day + cost > day;
    const isMonth = month !== null && used.month + cost > month;
    if (!isDay && !isMonth) return undefined;
    const { nextDay, nextMonth } = accounts.periods();
    const [period, quota, spent] = isMonth ? ['month', month, used.month] : ['day', day ?? 0, used.day];
    const detail =
      spent >= quota
        ? `All ${quota} units of this ${period} are used up.`
        : `The request costs ${units} units, and ${spent} of the ${quota} of this ${period} are used.`;
    return new AppError('quota_exceeded', detail, {
      retryAfterMs: (isMonth ? nextMonth : nextDay) - now(),
      violatedPolicies: [...(isDay ? ['day' as const] : []), ...(isMonth ? ['month' as const] : [])],
    });
  };

  const windowState = (caller: Caller): { readonly rule: WindowRule; readonly state: LimitState } | null => {
    const rule = ruleOf(caller.principal);
    if (rule === null) return null;
    const [limiter, key] = windowOf(caller);
    return { rule, state: limiter.look(key, monotonic(), rule) };
  };

  return {
    units: accounts,
    limiters: [consumers, addresses, addressUnits],
    windows: [consumers, addresses],
    addressUnits,
    leaseBy: (given) => void (leases = given),
    isDecided(caller) {
      if (leases === null) return true;
      const rule = ruleOf(caller.principal);
      return rule === null || leases.isDecided(...windowOf(caller), rule);
    },
    async takeAsked(caller, { free = false } = {}) {
      const rule = ruleOf(caller.principal);
      if (rule !== null && leases !== null) {
        const { allowed, resetAt } = await leases.hit(...windowOf(caller), rule);
        if (!allowed) return tooMany(rule, Math.max(0, resetAt - monotonic()));
      }
      return free ? undefined : exceeded(caller, 1);
    },
    isKnown: (principal) => {
      const { day, month } = principal.plan.limits;
      if ((day === null && month === null) || isAnonymous(principal)) return true;
      return accounts.isKnown(principal.consumer.id);
    },
    take(caller, { free = false, count = 1 } = {}) {
      const rule = ruleOf(caller.principal);
      if (rule !== null) {
        const [limiter, key] = windowOf(caller);
        const at = monotonic();
        const { allowed, resetAt } = limiter.hit(key, at, count === 1 ? rule : { ...rule, count });
        if (!allowed) return tooMany(rule, Math.max(0, resetAt - at));
      }
      return free ? undefined : exceeded(caller, 1);
    },
    refusalOf: exceeded,
    hold(caller, units) {
      const refusal = exceeded(caller, units);
      if (refusal === undefined) addHeld(caller, units);
      return refusal;
    },
    release: (caller, units) => addHeld(caller, -units),
    spend(caller, spent) {
      const { principal, client } = caller;
      const { day, month } = principal.plan.limits;
      if (!isAnonymous(principal)) {
        accounts.spend(principal.consumer.id, spent);
        return;
      }
      if (day === null && month === null) return;
      const keys = addressKeys(client);
      const at = monotonic();
      if (day !== null) addressUnits.hit(keys.day, at, { requests: day, windowMs: DAY_MS, count: spent });
      if (month !== null)
        addressUnits.hit(keys.month, at, { requests: month, windowMs: MONTH_MS, count: spent });
    },
    limits(caller) {
      const entries: LimitEntry[] = [];
      const window = windowState(caller);
      if (window !== null) {
        const { rule, state } = window;
        entries.push({
          name: 'window',
          quota: rule.requests,
          windowMs: rule.windowMs,
          remaining: state.remaining,
          resetMs: Math.max(0, state.resetAt - monotonic()),
        });
      }
      const { day, month } = caller.principal.plan.limits;
      if (day === null && month === null) return entries;
      const used = usedOf(caller);
      const periods = accounts.periods();
      const at = now();
      if (day !== null)
        entries.push({
          name: 'day',
          quota: day,
          windowMs: DAY_MS,
          remaining: Math.max(0, day - used.day),
          resetMs: periods.nextDay - at,
        });
      if (month !== null)
        entries.push({
          name: 'month',
          quota: month,
          windowMs: periods.nextMonth - periods.month,
          remaining: Math.max(0, month - used.month),
          resetMs: periods.nextMonth - at,
        });
      return entries;
    },
    standing(caller) {
      const { day, month } = caller.principal.plan.limits;
      const window = windowState(caller);
      const used = usedOf(caller);
      const periods = accounts.periods();
      return {
        used: {
          window: window === null ? 0 : window.rule.requests - window.state.remaining,
          day: used.day,
          month: used.month,
        },
        resets: {
          window: window === null ? null : Math.round(now() + window.state.resetAt - monotonic()),
          day: day === null ? null : periods.nextDay,
          month: month === null ? null : periods.nextMonth,
        },
      };
    },
  };
};
