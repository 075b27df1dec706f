/** The caller of GraphQL, where access is on: by the request's credential, or by the one that a WebSocket sends later. */
import type { FastifyRequest } from 'fastify';
import type { Access } from '../../access/access.js';
import { PERMITS_ALL, type Permit } from '../../access/permit.js';
import type { Principal, Scope } from '../../access/principal.js';
import { AppError } from '../../errors.js';
import type { SocketCaller } from '../../graphql/socket.js';
import type { Connection } from '../../streams/clients/connection.js';
import { CLOSE } from '../../streams/clients/connection.js';
import { lacksScope } from '../access/access-hook.js';
import type { CountedCaller } from '../limits/client-limit.js';
import { clientOf } from '../requests/client.js';
import type { StreamLimits } from '../limits/stream-limits.js';

/** Who may ask for the schema. */
export type IntrospectionRule = 'all' | 'none' | 'known';

export const introspects = (rule: IntrospectionRule, principal: Principal | null): boolean =>
  rule === 'all' || (rule === 'known' && principal !== null && principal.kind !== 'anonymous');

/** What refuses a caller without this scope; undefined where access is off. */
export const scopeFault = (principal: Principal | null, scope: Scope): AppError | undefined =>
  principal === null || principal.has(scope) ? undefined : lacksScope(scope);

/** Throws what refuses a request whose credential must be there by now. */
export const requireCaller = (access: Access | null, request: FastifyRequest): void => {
  if (access === null || request.principal !== null) return;
  const admission = access.admit(request.raw);
  throw admission instanceof AppError
    ? access.failed(admission, clientOf(request))
    : new AppError('unauthenticated', 'This address asks for a credential.');
};

/** Ends a stream of events with the credential that it was opened with. */
export const endWithCaller = (
  request: FastifyRequest,
  connection: Pick<Connection, 'close'>,
  now: () => number,
): void => {
  const { principal } = request;
  if (principal === null) return;
  const end = (): void => {
    connection.close(CLOSE.policy, 'The credential has ended.');
  };
  if (principal.faultAt(now()) === null)
    request.raw.socket.once('close', principal.onEnd('stream:read', end));
  else end();
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
  const client = clientOf(request);
  const barred = access.barred(client);
  if (barred !== null) throw barred;
  const given = { headers, socket: raw.socket };
  const admitted = access.admit(given);
  const found = admitted === 'ask' ? await access.ask(given) : admitted;
  if (found instanceof AppError) throw access.failed(found, client);
  return found;
};

/** The client of a WebSocket by its `connection_init`. Rejects where it may not go on. */
export const identify = async (introduction: Introduction): Promise<SocketCaller> => {
  const { access, request, anybody, rule, now, permits, streamLimits, chargeFor } = introduction;
  const principal = access === null ? null : await principalOf(access, introduction);
  if (principal !== null && principal.faultAt(now()) !== null)
    throw new AppError('credentials_revoked', 'The credential has ended.');
  const limited = streamLimits.open({ client: clientOf(request), socket: request.raw.socket }, principal);
  const caller = principal === null ? anybody : { principal, client: anybody.client };
  return {
    introspection: introspects(rule, principal),
    permit: principal === null ? PERMITS_ALL : permits(principal),
    charge: (units) => {
      chargeFor(caller, units);
    },
    admitTopic: (exchange, topic) => limited.admitTopic(exchange, topic),
    fault: (sort) => scopeFault(principal, sort === 'query' ? 'market:read' : 'stream:read'),
    onEnd: (end) => principal?.onEnd('market:read', end) ?? (() => undefined),
  };
};
