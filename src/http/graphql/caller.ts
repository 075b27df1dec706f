/** The caller of GraphQL, where access is on: by the request's credential, or by the one that a WebSocket sends later. */
import type { FastifyRequest } from 'fastify';
import type { Access } from '../../access/access.js';
import { unauthenticated } from '../../access/admit.js';
import { PERMITS_ALL, type Permit } from '../../access/permit.js';
import type { EndReason, Principal, Scope } from '../../access/principal.js';
import { AppError } from '../../errors.js';
import type { SocketCaller } from '../../graphql/socket-operations.js';
import { lacksScope } from '../access/access-hook.js';
import { endFault } from '../access/credential-end.js';
import { lateCaller } from '../access/late-credential.js';
import type { CountedCaller } from '../limits/client-limit.js';
import { clientOf } from '../requests/client.js';
import type { StreamLimits } from '../limits/stream-limits.js';

/** Who may ask for the schema. */
export type IntrospectionRule = 'all' | 'none' | 'known';

export const introspects = (rule: IntrospectionRule, principal: Principal | null): boolean =>
  rule === 'all' || (rule === 'known' && principal !== null && principal.kind !== 'anonymous');

/** Callers that are known have their documents remembered: whoever else comes could push those of others out. */
export const registers = (principal: Principal | null): boolean => principal?.kind !== 'anonymous';

export type OperationSort = 'query' | 'subscription';

/** What an operation asks of its caller, whatever the transport. */
const SCOPE_OF: Readonly<Record<OperationSort, Scope>> = {
  query: 'market:read',
  subscription: 'stream:read',
};

/** What refuses a caller without the scope; undefined where nobody is asked who he is. */
export const operationFault = (principal: Principal | null, sort: OperationSort): AppError | undefined => {
  const scope = SCOPE_OF[sort];
  return principal === null || principal.has(scope) ? undefined : lacksScope(scope);
};

/** Throws what refuses a request whose credential must be there by now. */
export const requireCaller = (access: Access | null, request: FastifyRequest): void => {
  if (access === null || request.principal !== null) return;
  const admission = access.admit(request.raw);
  throw admission instanceof AppError ? access.failed(admission, clientOf(request)) : unauthenticated();
};

/** Calls `end` when the credential that a stream of events was opened with ends. */
export const endWithCaller = (
  { principal, raw: { socket } }: FastifyRequest,
  end: (fault: AppError) => void,
  now: () => number,
): void => {
  if (principal === null) return;
  const tell = (reason: EndReason): void => {
    end(endFault(reason, SCOPE_OF.subscription));
  };
  const ended = principal.faultAt(now());
  if (ended !== null) {
    tell(ended);
    return;
  }
  const forget = principal.onEnd(SCOPE_OF.subscription, tell);
  socket.once('close', forget);
  // Its close may be over already, and comes no second time.
  if (socket.destroyed) forget();
};

/** What a WebSocket's caller is limited by. */
export interface CallerLimits {
  readonly permits: (principal: Principal) => Permit;
  readonly streamLimits: StreamLimits;
  /** Charges so many units; throws what refuses them. */
  readonly chargeFor: (caller: CountedCaller, units: number) => void;
}

export interface Introduction extends CallerLimits {
  /** null: access is off. */
  readonly access: Access | null;
  /** Of the upgrade. */
  readonly request: FastifyRequest;
  /** Whose limits count where access is off. */
  readonly anybody: CountedCaller;
  /** Of `connection_init`: `{"authorization": "Bearer …"}`, or nothing. */
  readonly payload: Readonly<Record<string, unknown>> | undefined;
  readonly rule: IntrospectionRule;
  readonly now: () => number;
}

/** Headers by which a payload's credential is judged like any other. */
const headersOf = (payload: Introduction['payload']): Record<string, string> => {
  const given = payload?.['authorization'] ?? payload?.['Authorization'];
  return typeof given === 'string' ? { authorization: given } : {};
};

const principalOf = async (access: Access, { request, payload }: Introduction): Promise<Principal> => {
  const { principal, raw } = request;
  const headers = headersOf(payload);
  if (principal !== null && headers['authorization'] === undefined) return principal;
  const found = await lateCaller(access, { headers, socket: raw.socket }, clientOf(request));
  if (found instanceof AppError) throw found;
  return found;
};

/** The client of a WebSocket by its `connection_init`. Rejects where it may not go on. */
export const identify = async (introduction: Introduction): Promise<SocketCaller> => {
  const { access, request, anybody, rule, now, permits, streamLimits, chargeFor } = introduction;
  const principal = access === null ? null : await principalOf(access, introduction);
  if (principal !== null && principal.faultAt(now()) !== null)
    throw new AppError('credentials_revoked', 'The credential has ended.');
  const scopes = Object.values(SCOPE_OF).filter((scope) => principal?.has(scope) === true);
  if (principal !== null && scopes.length === 0) throw lacksScope('market:read');
  await streamLimits.learn(principal);
  const limited = streamLimits.open({ client: clientOf(request), socket: request.raw.socket }, principal);
  await limited.confirmed();
  const caller = principal === null ? anybody : { principal, client: anybody.client };
  return {
    introspection: introspects(rule, principal),
    registers: registers(principal),
    permit: principal === null ? PERMITS_ALL : permits(principal),
    charge: (units) => {
      chargeFor(caller, units);
    },
    admitTopic: (exchange, topic) => limited.admitTopic(exchange, topic),
    answered: (units) => {
      limited.answered(units);
    },
    fault: (sort) => operationFault(principal, sort),
    // A scope that is lost ends the connection: what is open over it may need it.
    onEnd: (end) => {
      if (principal !== null && principal.faultAt(now()) !== null) end();
      const forgets = scopes.map((scope) => principal?.onEnd(scope, end));
      return () => {
        for (const forget of forgets) forget?.();
      };
    },
  };
};
