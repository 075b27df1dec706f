/** Who asks, by plan and outcome, and whether credentials can be checked. Never by key: keys are as many as callers. */
import type { ErrorCode } from '../errors.js';
import { AUTH_MODES, type AuthMode } from '../schemas/access.js';
import type { Registry, Sample } from './families.js';

/** What is counted of an answer. */
export interface AccessedAnswer {
  readonly status: number;
  readonly errorCode: ErrorCode | null;
  /** Who asked; absent or null where nobody was asked, or a credential was refused. */
  readonly principal?: { readonly plan: { readonly name: string } } | null | undefined;
}

export interface AccessState {
  readonly mode: AuthMode;
  /** Whether keys and tokens can be checked; null: nobody is asked. */
  readonly isServing: boolean | null;
}

export interface AccessMeter {
  record(answer: AccessedAnswer): void;
  register(registry: Registry): void;
}

/** Refusals that have a series of their own; every other fault counts as `failed`. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['credential_in_url', 'unauthenticated', 'invalid_credentials', 'credentials_expired'] as const),
  ...(['credentials_revoked', 'ticket_invalid', 'insufficient_scope', 'plan_forbids'] as const),
  ...(['client_rate_limited', 'quota_exceeded', 'stream_limit_reached'] as const),
  ...(['too_many_auth_failures', 'auth_unavailable'] as const),
]);
/** Refused before anybody could be told: these have no plan. */
const OF_NOBODY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['credential_in_url', 'unauthenticated', 'invalid_credentials', 'credentials_expired'] as const),
  ...(['credentials_revoked', 'ticket_invalid', 'too_many_auth_failures', 'auth_unavailable'] as const),
]);
/** Plans with series of their own; an operator may make any number, Prometheus keeps each for ever. */
const MAX_PLANS = 100;
const OTHER_PLANS = 'other';
const NO_PLAN = 'none';

const outcomeOf = ({ status, errorCode }: AccessedAnswer): string => {
  if (errorCode !== null && REFUSALS.has(errorCode)) return errorCode;
  return status < 400 ? 'ok' : 'failed';
};

export const createAccessMeter = (): AccessMeter => {
  // Bounded by MAX_PLANS and by our codes.
  const plans = new Map<string, Map<string, number>>();
  const outcomesOf = (name: string): Map<string, number> => {
    const known = plans.get(name);
    if (known !== undefined) return known;
    if (plans.size >= MAX_PLANS && name !== OTHER_PLANS && name !== NO_PLAN) return outcomesOf(OTHER_PLANS);
    const outcomes = new Map<string, number>();
    plans.set(name, outcomes);
    return outcomes;
  };

  return {
    record(answer) {
      const { principal, errorCode } = answer;
      const isNobody = principal === null || principal === undefined;
      if (isNobody && (errorCode === null || !OF_NOBODY.has(errorCode))) return;
      const outcomes = outcomesOf(isNobody ? NO_PLAN : principal.plan.name);
      const outcome = outcomeOf(answer);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    },
    register(registry) {
      registry.addCounter({
        name: 'access_requests_total',
        help: 'Answers to callers by plan (none: a credential was refused) and outcome: ok, failed, or the refusal.',
        labels: ['plan', 'outcome'],
        samples: function* (): Generator<Sample> {
          for (const [plan, outcomes] of plans)
            for (const [outcome, count] of outcomes) yield [count, { plan, outcome }];
        },
      });
    },
  };
};

export const addAccessState = (registry: Registry, state: () => AccessState): void => {
  registry.addGauge({
    name: 'auth_mode',
    help: '1 for the AUTH_MODE of this server, 0 for the others.',
    labels: ['mode'],
    samples: () => AUTH_MODES.map((mode): Sample => [mode === state().mode ? 1 : 0, { mode }]),
  });
  registry.addGauge({
    name: 'access_up',
    help: '1 while keys can be checked, 0 while they are refused with auth_unavailable; absent with AUTH_MODE=off.',
    samples: () => {
      const { isServing } = state();
      return isServing === null ? [] : [[isServing ? 1 : 0]];
    },
  });
};
