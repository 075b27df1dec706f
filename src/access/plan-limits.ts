/** A plan's limits, between the words of /v1/admin and the store (schemas/access.ts) and the object that requests meet. */
import { planLimits, type PlanLimitsBody } from '../schemas/access.js';
import { UNLIMITED, type PlanLimits } from './plan.js';

export const limitsOfBody = (body: PlanLimitsBody): PlanLimits =>
  Object.freeze({
    requests: body.requests ?? null,
    window: body.window ?? UNLIMITED.window,
    day: body.day ?? null,
    month: body.month ?? null,
    streams: body.streams ?? null,
    subscriptions: body.subscriptions ?? null,
    symbols: body.symbols ?? null,
    exchanges: body.exchanges ?? null,
    ohlcvMax: body.ohlcv_max ?? null,
    backfill: body.backfill ?? true,
    graphqlCost: body.graphql_cost ?? null,
  });

/** What is unlimited is left out, so that it can be sent back as it is. */
export const bodyOfLimits = (limits: PlanLimits): PlanLimitsBody => {
  const { requests, window, day, month, streams, subscriptions, symbols, exchanges } = limits;
  return {
    ...(requests === null ? {} : { requests, window }),
    ...(day === null ? {} : { day }),
    ...(month === null ? {} : { month }),
    ...(streams === null ? {} : { streams }),
    ...(subscriptions === null ? {} : { subscriptions }),
    ...(symbols === null ? {} : { symbols }),
    ...(exchanges === null ? {} : { exchanges: [...exchanges] }),
    ...(limits.ohlcvMax === null ? {} : { ohlcv_max: limits.ohlcvMax }),
    ...(limits.backfill ? {} : { backfill: false }),
    ...(limits.graphqlCost === null ? {} : { graphql_cost: limits.graphqlCost }),
  };
};

/** As the store keeps it. Throws a ZodError where the text is no plan. */
export const limitsOfText = (text: string): PlanLimits => limitsOfBody(planLimits.parse(JSON.parse(text)));

export const textOfLimits = (limits: PlanLimits): string => JSON.stringify(bodyOfLimits(limits));
