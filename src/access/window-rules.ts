/** Which window counts for a caller. */
import type { WindowRule } from './client-limiter.js';
import type { PlanLimits } from './plan.js';
import type { Principal } from './principal.js';

/** The rule that allows fewer requests for its time. */
const stricter = (a: WindowRule | null, b: WindowRule | null): WindowRule | null => {
  if (a === null || b === null) return a ?? b;
  return a.requests / a.windowMs <= b.requests / b.windowMs ? a : b;
};

/** `clientRule`: of callers without a credential, beside what their plan says. The rules given: null where there is none. */
export const createWindowRules = (
  clientRule: WindowRule | null,
): ((principal: Pick<Principal, 'kind' | 'plan'>) => WindowRule | null) => {
  /** Rules of plans, so that none is made for a request; apart, since the client limit is part of the former. */
  const [anonymousRules, ownRules] = [
    new WeakMap<PlanLimits, WindowRule | null>(),
    new WeakMap<PlanLimits, WindowRule | null>(),
  ];
  return ({ kind, plan: { limits } }) => {
    const isAnonymous = kind === 'anonymous';
    const rules = isAnonymous ? anonymousRules : ownRules;
    const known = rules.get(limits);
    if (known !== undefined) return known;
    const { requests, window } = limits;
    const own = requests === null ? null : { requests, windowMs: window * 1000 };
    const rule = isAnonymous ? stricter(own, clientRule) : own;
    rules.set(limits, rule);
    return rule;
  };
};
