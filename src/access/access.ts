/** What the rest of the server knows of access: who asks, what is kept, and whether it can be told at the moment. */
import type { IncomingMessage } from 'node:http';
import type { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { SharableLimiter } from './client-limiter.js';
import type { Keys } from './keys.js';
import type { Plan } from './plan.js';
import type { Principal } from './principal.js';
import type { Tickets } from './tickets.js';
import type { AccessStore } from './store/store.js';

/** What is read of a request; its socket remembers the last credential that came over it. */
export type AccessRequest = Pick<IncomingMessage, 'headers' | 'socket'>;

/** 'ask': it cannot be told at once; `ask` verifies the credential. */
export type Admission = Principal | AppError | 'ask';

export interface AccessHealth {
  readonly state: 'ok' | 'degraded';
  readonly since: Millis;
  readonly detail: string;
}

/** Tells whose a credential is that is no key: tokens and tickets. */
export interface OtherCredentials {
  /** At once where it is remembered; 'ask' where it must be verified; null where it is none of these. */
  find(credential: string, now: Millis): Principal | AppError | 'ask' | null;
  /** Never rejects. */
  verify(credential: string): Promise<Principal | AppError>;
  /** Whether it can be told whose they are. */
  health(): AccessHealth;
}

export interface Access {
  readonly mode: 'optional' | 'required';
  /** Everybody without a credential, with AUTH_MODE=optional. */
  readonly anonymous: Principal;
  /** Changes nothing and counts nothing: whoever refuses for it says so to `failed`. */
  admit(request: AccessRequest): Admission;
  /** For 'ask'. Never rejects. */
  ask(request: AccessRequest): Promise<Principal | AppError>;
  /** Counts a refusal of a credential that came from `client`; gives the refusal to answer with. */
  failed(refusal: AppError, client: string): AppError;
  /** Refuses a client that has failed so often that no new credential of it is verified; null: it has not. */
  barred(client: string): AppError | null;
  /** What counts the failures, for whom it is shared with. */
  readonly failures: SharableLimiter;
  /** What refuses a URL that holds a key, which counts as leaked from then on. */
  urlFault(url: string): AppError | undefined;
  readonly keys: Keys;
  readonly tickets: Tickets;
  /** The live principal of a key; undefined: it is not known here. */
  keyPrincipal(id: string): Principal | undefined;
  /** undefined: it is not set. */
  plan(name: string): Plan | undefined;
  /** A plan that may be set later: unlimited until then. */
  planNamed(name: string): Plan;
  /** Throws `auth_unavailable` while it cannot be reached. */
  store(): AccessStore;
  /** Makes this process know what is committed in the store. Never rejects. */
  refresh(): Promise<void>;
  /** The same, and tells the other servers: to be called after a change that does not go through `keys`. */
  changed(): Promise<void>;
  /** Whether keys can be checked at this moment. */
  isServing(): boolean;
  /** Of keys first, then of what else there is. */
  health(): AccessHealth;
  /** Tells which credentials beside keys there are. */
  use(others: OtherCredentials): void;
  close(): Promise<void>;
}
