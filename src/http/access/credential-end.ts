/** Ends what is open when the credential that it was opened with is revoked, expires, or loses its scope. */
import { AppError } from '../../errors.js';
import type { EndReason, Principal, Scope } from '../../access/principal.js';
import type { Connection } from '../../streams/clients/connection.js';
import { lacksScope } from './access-hook.js';
import { toProblem, type ProblemContext } from '../problems/problem.js';

const SCOPE: Scope = 'stream:read';

export const endFault = (reason: EndReason, scope: Scope): AppError => {
  if (reason === 'insufficient_scope') return lacksScope(scope);
  return new AppError(
    reason,
    reason === 'credentials_expired' ? 'The credential has expired.' : 'The credential was revoked.',
  );
};

interface ClosingSocket {
  readonly destroyed: boolean;
  once(event: 'close', listener: () => void): unknown;
}

export interface StreamToEnd {
  readonly connection: Pick<Connection, 'fail'>;
  /** What the connection lives on. */
  readonly socket: ClosingSocket;
  readonly context: ProblemContext;
  readonly sandbox: boolean;
  readonly now: () => number;
}

/**
 * The stream ends with an error event; on WebSocket 1008 follows. No effect where access is off. Call what is returned where
 * the stream becomes another principal's.
 */
export const endWithPrincipal = (principal: Principal | null, stream: StreamToEnd): (() => void) => {
  if (principal === null) return () => undefined;
  const { connection, socket, context, sandbox, now } = stream;
  const end = (reason: EndReason): void => {
    const fault = endFault(reason, SCOPE);
    const mark = sandbox ? { sandbox } : {};
    connection.fail(fault, { ...toProblem(fault, context), ...mark });
  };
  // It may have ended while the stream was being opened.
  const ended = principal.faultAt(now());
  if (ended !== null) {
    end(ended);
    return () => undefined;
  }
  const forget = principal.onEnd(SCOPE, end);
  socket.once('close', forget);
  // Its close may be over already, and comes no second time.
  if (socket.destroyed) forget();
  return forget;
};
