/**
 * The credential of a connection of /ws. Browsers send no credential with an upgrade, so where one is asked for it may come as the
 * first message; and a token that expires may be renewed by the same caller's next one.
 */
import type { Socket } from 'node:net';
import { AppError } from '../../errors.js';
import type { Access } from '../../access/access.js';
import { invalid } from '../../access/admit.js';
import type { Principal } from '../../access/principal.js';
import type { Connection } from '../../streams/clients/connection.js';
import type { SessionAuth } from '../../streams/clients/session.js';
import { scopeFault } from './access-hook.js';
import { toProblem, type ProblemContext } from '../problems/problem.js';
import { lateCaller } from './late-credential.js';
import { endWithPrincipal, type StreamToEnd } from './credential-end.js';

/** From the upgrade to the credential. */
const AUTH_WITHIN_MS = 5_000;
/** Connections without a credential yet. */
const MAX_WAITING = 100;
/** Characters of a header value. */
const TOKEN = /^[!-~]+$/;

interface SocketCaller {
  /** null: the credential is still to come. */
  readonly principal: Principal | null;
  /** The address, for failed attempts. */
  readonly client: string;
  readonly socket: Socket;
}

interface OpenSocket extends Omit<StreamToEnd, 'connection' | 'socket'> {
  readonly connection: Connection;
  readonly context: ProblemContext;
  /** Told who it is where a credential came as a message. What it throws refuses the credential. */
  readonly onCaller: (principal: Principal) => Promise<void>;
}

export interface SocketAuth {
  /** Takes a slot for a connection without a credential; throws `overloaded`. Call what is returned to release it. */
  waitFor(principal: Principal | null): () => void;
  /** To be called once the connection is attached. `leave` releases the slot. */
  open(caller: SocketCaller, stream: OpenSocket, leave: () => void): SessionAuth;
}

const unauthenticated = (): AppError =>
  new AppError(
    'unauthenticated',
    'This connection asks for a credential first: {"method":"auth","params":{"token":…}}.',
  );
const anotherCaller = (): AppError =>
  new AppError('invalid_credentials', 'The connection is that of another caller.');

/** `authWithinMs`: default 5 s. */
export const createSocketAuth = (access: Access, authWithinMs = AUTH_WITHIN_MS): SocketAuth => {
  let waiting = 0;

  /** The principal of a credential in a message. Never rejects. */
  const verify = async (token: string, { client, socket }: SocketCaller): Promise<Principal | AppError> => {
    if (!TOKEN.test(token)) return access.failed(invalid(), client);
    const request = { headers: { authorization: `Bearer ${token}` }, socket };
    const found = await lateCaller(access, request, client);
    return found instanceof AppError ? found : (scopeFault(found, 'stream:read') ?? found);
  };

  return {
    waitFor(principal) {
      if (principal !== null) return () => undefined;
      if (waiting >= MAX_WAITING)
        throw new AppError('overloaded', 'Too many connections have not said whose they are.', {
          retryAfterMs: authWithinMs,
        });
      waiting += 1;
      let isBack = false;
      return () => {
        if (!isBack) waiting -= 1;
        isBack = true;
      };
    },

    open(caller, { connection, onCaller, ...ending }, leave) {
      const { socket } = caller;
      let { principal } = caller;
      let forget: () => void = () => undefined;

      const take = (found: Principal): void => {
        forget();
        principal = found;
        forget = endWithPrincipal(found, { ...ending, connection, socket });
      };

      const silence = setTimeout(() => {
        const fault = unauthenticated();
        connection.fail(fault, toProblem(fault, ending.context));
      }, authWithinMs);
      silence.unref();
      const identified = (): void => {
        clearTimeout(silence);
        leave();
      };
      socket.once('close', identified);
      if (principal !== null) {
        identified();
        take(principal);
      }

      return {
        refusal: () => (principal === null ? unauthenticated() : null),
        async authenticate(token) {
          // The wait for an issuer has a deadline of its own.
          clearTimeout(silence);
          const found = await verify(token, caller);
          if (found instanceof AppError) return found;
          const isSame =
            principal === null ||
            principal.kind === 'anonymous' ||
            principal.consumer.id === found.consumer.id;
          if (!isSame) return anotherCaller();
          try {
            await onCaller(found);
          } catch (thrown) {
            return AppError.from(thrown);
          }
          identified();
          take(found);
          return null;
        },
      };
    },
  };
};
