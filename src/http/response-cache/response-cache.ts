/**
 * The response cache: raw URL to an answer whose query was validated before, with its header lines made in advance
 * (cached-response.ts). It never serves an answer past `freshUntil`, nor one that a live stream supersedes.
 *
 * It serves in two places. `serveBeforeFastify` answers before Fastify handles the request: where the headers are the same
 * for every origin, and while the server neither shuts down nor is overloaded. `admit` is the one question it asks; whatever
 * the reason for a no, the request goes on to Fastify unchanged, whose hooks ask again and say why. The onRequest `hook`
 * runs after all other hooks, so that it skips no limit and no log line, but parsing and validation of the query, the look-up
 * in the data cache and Fastify's reply.
 *
 * No lru-cache: spellings of one query share one entry, whose bytes count once, for as long as one of its URLs is cached.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { Access } from '../../access/access.js';
import type { Principal } from '../../access/principal.js';
import { AppError } from '../../errors.js';
import { scopeFault } from '../access/access-hook.js';
import type { HeaderPair } from '../answers/common-headers.js';
import type { MediaForm } from '../answers/presentation.js';
import type { HostFault } from '../limits/host-check.js';
import { requestFault } from '../limits/server-limits.js';
import { takeWritten } from '../requests/answer-record.js';
import { CachedResponse, type Cacheable } from './cached-response.js';

/** URLs cached at most, and bytes that they and their answers hold beyond the data cache's own bound. */
const MAX_URLS = 20_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** What an answer costs beside its body, and a URL beside its characters: objects, header lines, map entries. */
const ANSWER_OVERHEAD_BYTES = 2048;
const URL_OVERHEAD_BYTES = 256;
/** URLs of one answer; further spellings of its query are not cached. */
const MAX_SPELLINGS = 8;

interface AdmissionOptions {
  /** null: AUTH_MODE=off. */
  readonly access: Access | null;
  readonly hostFault: HostFault;
  /** The client by which limits count. */
  readonly clientOf: (request: IncomingMessage) => string;
  /** False while this server refuses requests, or closes connections behind its answers. */
  readonly isOpen: () => boolean;
}

export interface ResponseCacheOptions {
  readonly now: () => number;
  /** Headers that every answer carries, whoever the caller is; null where they depend on the request's Origin. */
  readonly steadyHeaders: readonly HeaderPair[] | null;
  /** Default: nothing is answered before Fastify. */
  readonly admission?: AdmissionOptions;
  readonly maxUrls?: number;
  readonly maxBytes?: number;
}

/** A request that was let through and counted, with its answer. */
interface Admitted {
  readonly response: CachedResponse;
  readonly media: MediaForm;
  /** null: access is off. */
  readonly principal: Principal | null;
  readonly client: string;
  /** RateLimit fields; null: there is no limit. */
  readonly limitHeaders: readonly HeaderPair[] | null;
}

export interface ResponseCache {
  /** Keeps an answer for the next request with the same URL. LIVE and STALE ones, and expired ones, are not kept. */
  remember(request: FastifyRequest, answer: Cacheable): void;
  /** To be added as an onRequest hook of the routes that remember, after all other hooks. */
  readonly hook: onRequestHookHandler;
  /**
   * Whether a request that Fastify has not seen is answered from here: there is an answer, and the caller has the credential,
   * the scope and the plan for it and is within its limits. Where it is, it has been counted. Synchronous.
   */
  admit(request: IncomingMessage): Admitted | null;
  /** URLs cached now. */
  size(): number;
}

export const createResponseCache = (app: FastifyInstance, options: ResponseCacheOptions): ResponseCache => {
  const { now, steadyHeaders, admission, maxUrls = MAX_URLS, maxBytes = MAX_BYTES } = options;
  const entries = new Map<string, CachedResponse>();
  /** Spellings of one query have the same answer: they share an entry. */
  const byAnswer = new Map<string, CachedResponse>();
  let bytes = 0;

  const keyOf = ({ route, exchange, answer, presentation }: CachedResponse): string =>
    `${route} ${exchange} ${answer.etag} ${presentation.name}`;
  const urlBytes = (url: string): number => url.length + URL_OVERHEAD_BYTES;
  const entryBytes = ({ answer }: CachedResponse): number => answer.body.length + ANSWER_OVERHEAD_BYTES;

  const forget = (url: string, entry: CachedResponse): void => {
    entries.delete(url);
    bytes -= urlBytes(url);
    entry.urls -= 1;
    if (entry.urls > 0) return;
    bytes -= entryBytes(entry);
    if (byAnswer.get(keyOf(entry)) === entry) byAnswer.delete(keyOf(entry));
  };

  /** The entry that holds this very answer, or `made` in its place. */
  const shared = (made: CachedResponse): CachedResponse => {
    const known = byAnswer.get(keyOf(made));
    const isSame =
      known?.answer.freshUntil === made.answer.freshUntil &&
      known.answer.receivedAt === made.answer.receivedAt;
    return isSame ? known : made;
  };

  /** The answer to `request` if there is one at this moment, with Age and Cache-Control true to the second. */
  const find = (
    { url = '', method }: IncomingMessage,
    steady: readonly HeaderPair[],
  ): CachedResponse | undefined => {
    const entry = entries.get(url);
    if (entry === undefined) return undefined;
    const at = now();
    if (at >= entry.answer.freshUntil || at < entry.keptAt) {
      forget(url, entry);
      return undefined;
    }
    if ((method !== 'GET' && method !== 'HEAD') || entry.isSuperseded) return undefined;
    entry.updateFreshness(at, steady, app.answersArePrivate);
    return entry;
  };

  /** The authorized caller; null: it is unknown as yet, or may not have `response`. */
  const callerOf = (
    request: IncomingMessage,
    { access }: AdmissionOptions,
    response: CachedResponse,
  ): { readonly principal: Principal | null } | null => {
    if (access === null) return NO_PRINCIPAL;
    const admitted = access.admit(request);
    if (admitted === 'ask' || admitted instanceof AppError) return null;
    // A token for MCP alone: the hook of access refuses it.
    if (admitted.mcpOnly) return null;
    return scopeFault(admitted, response.access) === undefined ? { principal: admitted } : null;
  };

  return {
    remember(request, kept) {
      const { answer } = kept;
      const { url } = request.raw;
      if ((answer.cache !== 'HIT' && answer.cache !== 'MISS') || url === undefined) return;
      const at = now();
      if (answer.freshUntil <= at || answer.body.length + ANSWER_OVERHEAD_BYTES > maxBytes) return;
      const replaced = entries.get(url);
      if (replaced !== undefined) forget(url, replaced);
      const { url: route, access } = request.routeOptions.config;
      const entry = shared(new CachedResponse(kept, { route, access, at }));
      if (entry.urls >= MAX_SPELLINGS) return;
      if (entry.urls === 0) {
        byAnswer.set(keyOf(entry), entry);
        bytes += entryBytes(entry);
      }
      entry.urls += 1;
      entries.set(url, entry);
      bytes += urlBytes(url);
      // The newest URL is the last: it stays, and its answer with it.
      for (const [oldest, old] of entries) {
        if ((entries.size <= maxUrls && bytes <= maxBytes) || oldest === url) break;
        forget(oldest, old);
      }
    },
    hook: (request, reply, done) => {
      const entry = find(request.raw, steadyHeaders ?? app.steadyHeaders(request));
      const media = entry?.presentation.formFor(request.headers.accept) ?? null;
      // What the plan does not allow, or has not units enough left for, is refused by the route, which says why.
      const isAllowed =
        entry !== undefined &&
        app.permitOf(request).allows(entry.exchange, entry.candles) &&
        (entry.units === 1 || app.hasUnits(request, entry.units));
      if (entry === undefined || media === null || !isAllowed) {
        done();
        return;
      }
      if (request.units !== null) request.units = entry.units;
      request.cacheState = 'HIT';
      request.exchangeId = entry.exchange;
      reply.hijack();
      request.answered();
      entry.send(reply.raw, request.raw, {
        media,
        requestId: request.id,
        more: request.limitHeaders,
        keepAliveTimeoutMs: app.server.keepAliveTimeout,
      });
    },
    admit(request) {
      if (steadyHeaders === null || admission === undefined) return null;
      const response = find(request, steadyHeaders);
      if (response === undefined || !admission.isOpen() || requestFault(request) !== undefined) return null;
      if (admission.hostFault(request) !== undefined) return null;
      const media = response.presentation.formFor(request.headers.accept);
      if (media === null) return null;
      const caller = callerOf(request, admission, response);
      if (caller === null) return null;
      const { principal } = caller;
      const client = admission.clientOf(request);
      // The last question, since it counts the request.
      const counted = app.countAtOnce({ principal, client }, response);
      if (counted === null) return null;
      return { response, media, principal, client, limitHeaders: counted.limitHeaders };
    },
    size: () => entries.size,
  };
};

const NO_PRINCIPAL = { principal: null };

export interface ServeBeforeFastifyOptions {
  readonly cache: Pick<ResponseCache, 'admit'>;
  /** The id of a request, as Fastify gives it. */
  readonly requestId: (request: IncomingMessage) => string;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** Puts the cache in front of Fastify's listener on the app's server. Its answers are reported as all others are. */
export const serveBeforeFastify = (
  app: FastifyInstance,
  { cache, requestId: idOf }: ServeBeforeFastifyOptions,
): void => {
  const { server } = app;

  const answered = (request: IncomingMessage, response: ServerResponse): boolean => {
    // Without a socket it waits for earlier answers on its connection and may never be sent: Fastify's hooks count that.
    if (response.socket === null) return false;
    const arrivedAt = performance.now();
    const admitted = cache.admit(request);
    if (admitted === null) return false;
    const { response: cached, media, principal, client, limitHeaders } = admitted;
    const requestId = idOf(request);
    const { keepAliveTimeout: keepAliveTimeoutMs } = server;
    cached.send(response, request, { media, requestId, more: limitHeaders, keepAliveTimeoutMs });
    app.reportAnswer({
      requestId,
      method: request.method ?? 'GET',
      route: cached.route,
      status: response.statusCode,
      durationMs: performance.now() - arrivedAt,
      cache: 'HIT',
      exchange: cached.exchange,
      errorCode: null,
      ...(principal === null
        ? {}
        : { principal, client, units: cached.units, bytes: takeWritten(request.socket) }),
      aborted: false,
      longLived: false,
    });
    return true;
  };

  const behind = server.listeners('request') as Listener[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    try {
      if (answered(request, response)) return;
    } catch (error) {
      // Nothing further out would catch it, and a bug in here must not end the process.
      app.logBug(error);
      response.destroy();
      return;
    }
    for (const listener of behind) listener.call(server, request, response);
  });
};
