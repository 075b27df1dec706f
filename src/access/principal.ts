/**
 * Who asks. A principal is one live object for as long as this process knows its credential: whatever remembers it (a
 * socket, a stream) sees a revocation, a new expiry or another plan when it next reads the object, and nothing has to be
 * invalidated.
 */
import { SCOPES, type Scope } from '../schemas/access.js';
import type { Millis } from '../schemas/common.js';
import type { Plan } from './plan.js';

export type { Scope };

/** Of a key for which none are named. */
export const DEFAULT_SCOPES: readonly Scope[] = ['market:read', 'stream:read', 'history:read'];

export const isScope = (text: string): text is Scope => (SCOPES as readonly string[]).includes(text);

/** Why a principal's open streams end. */
export type EndReason = 'credentials_revoked' | 'credentials_expired' | 'insufficient_scope';

/** What a principal has used since it was last written to the store. */
export interface Usage {
  requests: number;
  units: number;
  bytes: number;
  streamSeconds: number;
  refused: number;
}

/** Whose limits and quotas count together: a key and the keys that it was rotated to. */
export interface Consumer {
  readonly id: string;
}

export interface PrincipalState {
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly plan: Plan;
  /** null: never. */
  readonly expiresAt: Millis | null;
  readonly revokedAt: Millis | null;
}

interface OpenStream {
  readonly scope: Scope;
  readonly end: (reason: EndReason) => void;
}

/** Told when a principal opens its first stream, closes its last one, or changes while it has some. */
export interface StreamWatch {
  changed(principal: Principal): void;
}

const UNWATCHED: StreamWatch = { changed: () => undefined };

export class Principal {
  readonly kind: 'anonymous' | 'key' | 'token';
  /** Of a key its public id; of a token a hash of issuer, client and subject. Stands in logs. */
  readonly id: string;
  readonly consumer: Consumer;
  /** A token that was issued for the address of MCP, and is good for no other one. */
  readonly mcpOnly: boolean;
  /** From then on whoever remembers it must have the credential verified again (wall clock); null: never. */
  readonly recheckAt: Millis | null;
  /** How much of the time until `expiresAt` is there for clocks that differ; 0 of keys. */
  readonly toleranceMs: Millis;
  readonly usage: Usage = { requests: 0, units: 0, bytes: 0, streamSeconds: 0, refused: 0 };
  #state: PrincipalState;
  readonly #streams = new Set<OpenStream>();
  readonly #watch: StreamWatch;

  constructor(
    {
      kind,
      id,
      consumer,
      mcpOnly = false,
      recheckAt = null,
      toleranceMs = 0,
    }: Pick<Principal, 'kind' | 'id' | 'consumer'> &
      Partial<Pick<Principal, 'mcpOnly' | 'recheckAt' | 'toleranceMs'>>,
    state: PrincipalState,
    watch: StreamWatch = UNWATCHED,
  ) {
    this.kind = kind;
    this.id = id;
    this.consumer = consumer;
    this.mcpOnly = mcpOnly;
    this.recheckAt = recheckAt;
    this.toleranceMs = toleranceMs;
    this.#state = state;
    this.#watch = watch;
  }

  get name(): string {
    return this.#state.name;
  }

  get scopes(): ReadonlySet<Scope> {
    return this.#state.scopes;
  }

  get plan(): Plan {
    return this.#state.plan;
  }

  get expiresAt(): Millis | null {
    return this.#state.expiresAt;
  }

  get revokedAt(): Millis | null {
    return this.#state.revokedAt;
  }

  /** Streams that end with this principal. */
  get openStreams(): number {
    return this.#streams.size;
  }

  has(scope: Scope): boolean {
    return this.#state.scopes.has(scope);
  }

  /** Why it may ask no more at the instant `now`; null: it may. */
  faultAt(now: Millis): 'credentials_revoked' | 'credentials_expired' | null {
    const { revokedAt, expiresAt } = this.#state;
    if (revokedAt !== null) return 'credentials_revoked';
    return expiresAt !== null && now >= expiresAt ? 'credentials_expired' : null;
  }

  /** Whether the credential must be verified again before the principal may be used. */
  isDueAt(now: Millis): boolean {
    return this.recheckAt !== null && now >= this.recheckAt;
  }

  /** Takes another state over, and ends the streams that it does not allow any more. */
  update(state: PrincipalState): void {
    this.#state = state;
    if (this.#streams.size === 0) return;
    if (state.revokedAt !== null) this.end('credentials_revoked');
    else this.#endWhere('insufficient_scope', ({ scope }) => !state.scopes.has(scope));
    this.#watch.changed(this);
  }

  /** From the instant `at` on it may ask no more; its streams end. */
  revoke(at: Millis): void {
    this.update({ ...this.#state, revokedAt: at });
  }

  /**
   * `end` is called once when the principal is revoked, expires or loses `scope`; call what is returned when the stream
   * ends by itself.
   */
  onEnd(scope: Scope, end: (reason: EndReason) => void): () => void {
    const stream = { scope, end };
    this.#streams.add(stream);
    if (this.#streams.size === 1) this.#watch.changed(this);
    return () => {
      if (this.#streams.delete(stream) && this.#streams.size === 0) this.#watch.changed(this);
    };
  }

  /** Ends every open stream. */
  end(reason: EndReason): void {
    this.#endWhere(reason, () => true);
  }

  #endWhere(reason: EndReason, isMeant: (stream: OpenStream) => boolean): void {
    for (const stream of this.#streams) {
      if (!isMeant(stream)) continue;
      this.#streams.delete(stream);
      stream.end(reason);
    }
  }
}
