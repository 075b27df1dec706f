/**
 * Tickets: for browsers, whose EventSource and WebSocket send no header that a page chooses. A ticket stands for the
 * credential that asked for it, once, for one purpose, from the same origin, for a few seconds: whoever finds one in a log
 * holds nothing.
 */
import { hash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { Plan } from './plan.js';
import { isScope, Principal, type StreamWatch } from './principal.js';
import type { AccessStore } from './store/store.js';

export type TicketPurpose = 'sse' | 'ws' | 'graphql';

const PREFIX = 'cdt_';
const RANDOM_BYTES = 32;
/** Of one caller. */
const MAX_OPEN = 20;
const FORM = /^cdt_[\w-]{43}$/;

interface IssuedTicket {
  readonly ticket: string;
  readonly purpose: TicketPurpose;
  readonly expiresAt: Millis;
}

export interface TicketUse {
  readonly purpose: TicketPurpose;
  /** The Origin header of the request that uses it. */
  readonly origin: string | undefined;
  /** The origins that this server has for whoever asks so: pages of it send no Origin when they open an EventSource. */
  readonly ownOrigins: readonly string[];
}

export interface Tickets {
  /**
   * Rejects with `unauthenticated` for callers without a credential, `client_rate_limited` where MAX_OPEN are open, or
   * `auth_unavailable`.
   */
  issue(
    principal: Principal,
    ticket: { readonly purpose: TicketPurpose; readonly origin: string | undefined },
  ): Promise<IssuedTicket>;
  /**
   * Who a ticket stands for; it is used up, whatever the answer. Rejects with `ticket_invalid` (which says nothing of
   * why), or `auth_unavailable`.
   */
  take(ticket: string, use: TicketUse): Promise<Principal>;
}

export interface TicketsOptions {
  /** Throws `auth_unavailable`. */
  readonly store: () => Pick<AccessStore, 'putTicket' | 'takeTicket'>;
  /** Makes this process know what is committed in the store. */
  readonly refresh: () => Promise<void>;
  /** The live principal of a key. */
  readonly keyPrincipal: (id: string) => Principal | undefined;
  /** A plan that there may be no more. */
  readonly plan: (name: string) => Plan;
  readonly ttlMs: Millis;
  /** The wall clock. */
  readonly now: () => Millis;
  /** Of streams that a token's ticket opened. */
  readonly watch?: StreamWatch | undefined;
}

/** How a row words its principal: a key by its id, a token by all that there is to know of it. */
const bearer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('key'), id: z.string() }),
  z.strictObject({
    kind: z.literal('token'),
    id: z.string(),
    name: z.string(),
    plan: z.string(),
    scopes: z.array(z.string().refine(isScope)),
    expiresAt: z.number().nullable(),
    toleranceMs: z.number(),
  }),
]);
type Bearer = z.infer<typeof bearer>;

const wordsOf = ({ kind, id, name, plan, scopes, expiresAt, toleranceMs }: Principal): string => {
  const words: Bearer =
    kind === 'token'
      ? { kind, id, name, plan: plan.name, scopes: [...scopes], expiresAt, toleranceMs }
      : { kind: 'key', id };
  return JSON.stringify(words);
};

const invalid = (): AppError => new AppError('ticket_invalid', 'The ticket is not valid.');

const hashOf = (ticket: string): string => hash('sha256', ticket, 'hex');

/** Whether a request from `origin` may use what was made for `madeFor`. */
const isSameOrigin = (madeFor: string | null, { origin, ownOrigins }: TicketUse): boolean =>
  origin === undefined ? madeFor === null || ownOrigins.includes(madeFor) : origin === madeFor;

export const createTickets = (options: TicketsOptions): Tickets => {
  const { store, refresh, keyPrincipal, plan, ttlMs, now, watch } = options;

  const unavailable = (cause: unknown): AppError =>
    cause instanceof AppError
      ? cause
      : new AppError('auth_unavailable', 'Tickets cannot be checked at the moment.', {
          retryAfterMs: 1_000,
          cause,
        });

  const holderOf = async (words: string): Promise<Principal | undefined> => {
    const read = bearer.parse(JSON.parse(words));
    if (read.kind === 'token') {
      const { kind, id, name, plan: planName, scopes, expiresAt, toleranceMs } = read;
      const state = {
        name,
        plan: plan(planName),
        scopes: new Set(scopes),
        expiresAt,
        revokedAt: null,
      };
      return new Principal({ kind, id, consumer: { id }, toleranceMs }, state, watch);
    }
    const known = keyPrincipal(read.id);
    if (known !== undefined) return known;
    // Made on another server, which may know of a key that has not been heard of here.
    await refresh();
    return keyPrincipal(read.id);
  };

  return {
    async issue(principal, { purpose, origin }) {
      if (principal.kind === 'anonymous')
        throw new AppError(
          'unauthenticated',
          'A ticket stands for a credential, and this request brings none.',
        );
      const ticket = PREFIX + randomBytes(RANDOM_BYTES).toString('base64url');
      const at = now();
      const expiresAt = at + ttlMs;
      const row = {
        hash: hashOf(ticket),
        // Not the credential: another token of the same subject says another time of its end, and counts no less.
        holder: `${principal.kind} ${principal.consumer.id}`,
        principal: wordsOf(principal),
        purpose,
        origin: origin ?? null,
        expiresAt,
      };
      const kept = await store()
        .putTicket(row, { now: at, most: MAX_OPEN })
        .catch((cause: unknown) => {
          throw unavailable(cause);
        });
      if (!kept)
        throw new AppError('client_rate_limited', `At most ${MAX_OPEN} tickets can be open at once.`, {
          retryAfterMs: ttlMs,
        });
      return { ticket, purpose, expiresAt };
    },

    async take(ticket, use) {
      if (!FORM.test(ticket)) throw invalid();
      const row = await store()
        .takeTicket(hashOf(ticket))
        .catch((cause: unknown) => {
          throw unavailable(cause);
        });
      if (row?.purpose !== use.purpose || now() >= row.expiresAt) throw invalid();
      if (!isSameOrigin(row.origin, use)) throw invalid();
      const holder = await holderOf(row.principal);
      if (holder?.faultAt(now()) !== null || !holder.has('stream:read')) throw invalid();
      return holder;
    },
  };
};
