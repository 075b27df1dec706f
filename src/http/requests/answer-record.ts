/**
 * One record per answer, for the access log and the metrics, whichever way the answer went out: through Fastify's
 * reply, written by the response cache, or as a long-lived stream.
 */
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../../access/principal.js';
import type { CacheState } from '../../market-data/market-data-api.js';
import type { ErrorCode, ParameterFault } from '../../errors.js';
import { clientOf } from './client.js';
import { createPipelines, type Pipelines, type Unfinished } from '../connections/pipelines.js';

export interface AnswerRecord {
  readonly requestId: string;
  readonly method: string;
  /** The route's pattern, never the URL: a label that clients can't choose. `unmatched` where there is none. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
  readonly cache: CacheState | null;
  /** CCXT id of the venue the answer is about, where known. */
  readonly exchange: string | null;
  readonly errorCode: ErrorCode | null;
  /** The caller; absent where access is off, or the request was refused before. */
  readonly principal?: Principal | null | undefined;
  /** The address of such a caller. */
  readonly client?: string | undefined;
  /** What it costs that caller where it is a good one; null where it was refused before it was counted. */
  readonly units?: number | null | undefined;
  /** Units that were set aside for it, and are not any longer. */
  readonly heldUnits?: number | undefined;
  /** What was written to its connection since the answer before. */
  readonly bytes?: number | undefined;
  /** The client left before it had the whole answer. Never set of streams, which end when their client leaves. */
  readonly aborted: boolean;
  /** SSE and WebSocket: the duration is the connection's life, not a wait. */
  readonly longLived: boolean;
  /** What the access log tells of a refusal beside its code. */
  readonly refusal?: Refusal | null;
}

/** For operators; none of it is a label of a metric. */
export interface Refusal {
  /** Why an exchange failed. */
  readonly cause?: string | undefined;
  readonly upstream_status?: number | undefined;
  /** As the client wrote it. */
  readonly symbol?: string | undefined;
  readonly errors?: readonly ParameterFault[] | undefined;
  /** The client's address, where it is what was refused. */
  readonly client?: string | undefined;
}

type AnswerListener = (answer: AnswerRecord) => void;

declare module 'fastify' {
  interface FastifyInstance {
    /** Calls `listener` after each answer. Listeners are few, quick and never throw. */
    onAnswer(listener: AnswerListener): void;
    /** For those who answer before Fastify knows of the request (response-cache/response-cache.ts). */
    reportAnswer(answer: AnswerRecord): void;
    /** Counts a request from now to its end; done for all that reach a hook. */
    trackAnswer(request: FastifyRequest, reply: FastifyReply): void;
    /** What is unfinished on each connection. */
    readonly pipelines: Pipelines;
    /** Requests being worked on now, without the long-lived ones: what waits for its client to read it is answered. */
    inFlight(): number;
  }
  interface FastifyRequest {
    cacheState: CacheState | null;
    exchangeId: string | null;
    errorCode: ErrorCode | null;
    refusal: Refusal | null;
    /** performance.now() at the request's arrival. */
    arrivedAt: number;
    /** To be called where the answer turns out to be a stream, of a route whose answers mostly are none. */
    becomesLongLived: () => void;
    /** To be called once the answer is made, by those who write it past Fastify. Idempotent. */
    answered: () => void;
  }
  interface FastifyContextConfig {
    /** SSE and WebSocket routes: exempt from the in-flight bound and from the slow-request log. */
    longLived?: boolean;
  }
}

/** On a socket: what was written to it when it was last asked for. */
const WRITTEN = Symbol('written');
type CountedSocket = Partial<Pick<Socket, 'bytesWritten'>> & { [WRITTEN]?: number };

/** Bytes that were written to `socket` since the last call for it. */
export const takeWritten = (socket: CountedSocket): number => {
  const written = socket.bytesWritten ?? 0;
  const before = socket[WRITTEN] ?? 0;
  socket[WRITTEN] = written;
  return written - before;
};

const nothing = (): void => undefined;

const routeOf = (request: FastifyRequest): string =>
  request.is404 ? 'unmatched' : request.routeOptions.config.url;

const meterOf = (
  request: FastifyRequest,
): Pick<AnswerRecord, 'principal' | 'client' | 'units' | 'heldUnits' | 'bytes'> => {
  const { principal, units, heldUnits } = request;
  // Absent where no one is asked; typed as present, since the hook of access declares it.
  if (principal === null || (principal as unknown) === undefined) return {};
  return { principal, units, heldUnits, client: clientOf(request), bytes: takeWritten(request.raw.socket) };
};

/** Installed on the root instance, before any other hook, so that refused requests are counted too. */
export const addAnswers = (app: FastifyInstance): void => {
  const listeners: AnswerListener[] = [];
  let inFlight = 0;
  app.decorateRequest('cacheState', null);
  app.decorateRequest('exchangeId', null);
  app.decorateRequest('errorCode', null);
  app.decorateRequest('refusal', null);
  app.decorateRequest('arrivedAt', 0);
  app.decorate('onAnswer', (listener: AnswerListener) => {
    listeners.push(listener);
  });
  const report = (answer: AnswerRecord): void => {
    for (const listener of listeners) listener(answer);
  };
  app.decorate('reportAnswer', report);
  app.decorate('inFlight', () => inFlight);
  const pipelines = createPipelines();
  app.decorate('pipelines', pipelines);
  app.decorateRequest('answered', nothing);
  app.decorateRequest('becomesLongLived', nothing);
  app.decorate('trackAnswer', (request: FastifyRequest, { raw }: FastifyReply) => {
    let longLived = request.routeOptions.config.longLived === true;
    const pipeline = pipelines.of(request.raw.socket);
    let working = !longLived;
    let settled = false;
    request.arrivedAt = performance.now();
    if (working) inFlight += 1;
    request.answered = () => {
      if (working) inFlight -= 1;
      working = false;
    };
    request.becomesLongLived = () => {
      longLived = true;
      request.answered();
    };
    // By the end of the answer or by the socket's, whichever comes first: a response that is queued behind another one
    // emits nothing when the socket dies.
    const settle = (aborted: boolean): void => {
      if (settled) return;
      settled = true;
      request.answered();
      pipeline.finished(unfinished);
      report({
        requestId: request.id,
        method: request.method,
        route: routeOf(request),
        status: raw.statusCode,
        durationMs: performance.now() - request.arrivedAt,
        cache: request.cacheState,
        exchange: request.exchangeId,
        errorCode: request.errorCode,
        ...meterOf(request),
        refusal: request.refusal,
        aborted: !longLived && aborted,
        longLived,
      });
    };
    const unfinished: Unfinished = {
      get complete() {
        return request.raw.complete;
      },
      gone() {
        settle(!raw.writableFinished);
      },
    };
    pipeline.add(unfinished);
    // 'close' follows 'finish', and comes alone where the client left. Cheaper than an onResponse hook, which would add
    // two listeners to every response.
    raw.on('close', () => {
      settle(!raw.writableEnded);
    });
  });
  app.addHook('onRequest', (request, reply, done) => {
    app.trackAnswer(request, reply);
    done();
  });
  app.addHook('onSend', async (request, _reply, payload) => {
    request.answered();
    return payload;
  });
};
