/** REST with typed answers: problems are thrown, what may be tried again is. */
import type { Problem } from './types.js';

/** What the server, or the way to it, said instead of an answer. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  /** HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** Stable code of the server, or `network_error`. */
  readonly code: string;
  readonly retryable: boolean;
  /** Wait at least so long; null: nothing is said. */
  readonly retryAfterMs: number | null;
  readonly requestId: string | null;
  /** The body; null where there was none of the server's. */
  readonly problem: Problem | null;

  constructor(
    detail: string,
    {
      status = 0,
      problem = null,
      retryAfterMs = null,
      cause,
    }: {
      readonly status?: number;
      readonly problem?: Problem | null;
      readonly retryAfterMs?: number | null;
      readonly cause?: unknown;
    } = {},
  ) {
    super(detail, { cause });
    this.status = status;
    this.problem = problem;
    this.code = problem?.code ?? (status === 0 ? 'network_error' : `http_${status}`);
    // A proxy's own error says nothing of retries: what its status means decides.
    this.retryable = problem?.retryable ?? (status === 0 || status === 429 || status >= 502);
    this.retryAfterMs = problem?.retry_after_ms ?? retryAfterMs;
    this.requestId = problem?.request_id ?? null;
  }
}

/** Milliseconds for which the server wants not to be asked the same again; 0: it says nothing. */
export const waitAfter = (error: unknown): number =>
  error instanceof ProblemError ? (error.retryAfterMs ?? 0) : 0;

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RestOptions {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly fetch: typeof globalThis.fetch;
  readonly random: () => number;
}

const ATTEMPTS = 3;
const REQUEST_TIMEOUT_MS = 30_000;
const FIRST_BACK_OFF_MS = 500;
/** Longer waits are the caller's to decide on. */
const MAX_WAIT_MS = 10_000;

const isProblem = (body: unknown): body is Problem =>
  typeof body === 'object' && body !== null && 'code' in body && 'retryable' in body;

const retryAfterOf = (response: Response): number | null => {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : null;
};

const problemOf = async (response: Response): Promise<ProblemError> => {
  const body: unknown = await response.json().catch(() => null);
  const { status } = response;
  const retryAfterMs = retryAfterOf(response);
  return isProblem(body)
    ? new ProblemError(body.detail, { status, problem: body, retryAfterMs })
    : new ProblemError(`The server answered ${status}.`, { status, retryAfterMs });
};

const addressOf = (base: string, path: string, query: Query): string => {
  const url = new URL(path.replace(/^\//, ''), base.endsWith('/') ? base : `${base}/`);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, String(value));
  return url.href;
};

/** Runs `end` after that time, or at once where the signal aborts; what is returned leaves nothing behind. */
const after = (ms: number, signal: AbortSignal, end: () => void): (() => void) => {
  const clear = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', fire);
  };
  const fire = (): void => {
    clear();
    end();
  };
  const timer = setTimeout(fire, ms);
  signal.addEventListener('abort', fire);
  return clear;
};

/** Resolves early where the signal aborts. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => after(signal.aborted ? 0 : ms, signal, resolve));

/** GET `path` below the server's URL. Rejects with a ProblemError; `signal` ends waits as well. */
export const createRest = ({ url, apiKey, fetch, random }: RestOptions) => {
  const once = async <T>(address: string, signal: AbortSignal): Promise<T> => {
    const ending = new AbortController();
    // Not AbortSignal.any: a signal that lives as long as the client would keep one of each request.
    const clear = after(signal.aborted ? 0 : REQUEST_TIMEOUT_MS, signal, () => ending.abort());
    try {
      const response = await fetch(address, {
        headers: { accept: 'application/json', ...(apiKey === undefined ? {} : { 'x-api-key': apiKey }) },
        signal: ending.signal,
      });
      if (!response.ok) throw await problemOf(response);
      return (await response.json()) as T;
    } catch (error) {
      if (error instanceof ProblemError) throw error;
      throw new ProblemError('The server did not answer.', { cause: error });
    } finally {
      clear();
    }
  };
  return async <T>(path: string, query: Query, signal: AbortSignal): Promise<T> => {
    const address = addressOf(url, path, query);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await once<T>(address, signal);
      } catch (thrown) {
        const error = thrown as ProblemError;
        const wait = Math.max(error.retryAfterMs ?? 0, FIRST_BACK_OFF_MS * 2 ** attempt * random());
        if (!error.retryable || attempt === ATTEMPTS || wait > MAX_WAIT_MS || signal.aborted) throw error;
        await pause(wait, signal);
      }
    }
  };
};
export type Rest = ReturnType<typeof createRest>;
