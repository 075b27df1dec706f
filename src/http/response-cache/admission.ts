/**
 * Whether the response cache may answer a request before Fastify sees it, and with which limits: the one synchronous
 * question that it asks. Where the answer is no, whatever the reason, Fastify's hooks ask again, and say why.
 */
import type { IncomingMessage } from 'node:http';
import type { Access } from '../../access/access.js';
import type { Principal } from '../../access/principal.js';
import { AppError } from '../../errors.js';
import { scopeFault } from '../access/access-hook.js';
import type { HeaderPair } from '../answers/common-headers.js';
import type { RouteAccess } from '../access/route-access.js';

/** What is asked for: a kept answer. */
interface KeptAnswer {
  /** What its route asks of callers. */
  readonly access: RouteAccess | undefined;
  /** CCXT id. */
  readonly exchange: string;
  /** Candles that were asked for; null: it holds none. */
  readonly candles: number | null;
}

interface Admitted {
  /** null: nobody is asked who he is. */
  readonly principal: Principal | null;
  readonly client: string;
  /** RateLimit fields; null: there is no limit. */
  readonly limitHeaders: readonly HeaderPair[] | null;
}

/** Counts a request against the limits of its caller; null: they refuse it, or are not known yet. */
type CountRequest = (
  caller: { readonly principal: Principal | null; readonly client: string },
  kept: KeptAnswer,
) => { readonly limitHeaders: readonly HeaderPair[] | null } | null;

export interface ShortWayOptions {
  readonly access: Access | null;
  readonly addressOf: (request: IncomingMessage) => string;
  readonly count: CountRequest;
}

export type ShortWay = (request: IncomingMessage, kept: KeptAnswer) => Admitted | null;

export const createShortWay =
  ({ access, addressOf, count }: ShortWayOptions): ShortWay =>
  (request, kept) => {
    let principal: Principal | null = null;
    if (access !== null) {
      const admission = access.admit(request);
      if (admission === 'ask' || admission instanceof AppError) return null;
      if (scopeFault(admission, kept.access) !== undefined) return null;
      principal = admission;
    }
    const client = addressOf(request);
    const counted = count({ principal, client }, kept);
    return counted === null ? null : { principal, client, limitHeaders: counted.limitHeaders };
  };
