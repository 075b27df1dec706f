/**
 * The short way for cached answers: raw URL → an answer whose query was already validated, with its header lines made
 * beforehand (hot-answer.ts). As a hook it stands after all others (count, limits, life cycle), so nothing is skipped but routing's
 * rest: parsing and validating the query, the look-up in the cache, Fastify's reply. front-door.ts is shorter still.
 * It never serves past `freshUntil`.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { HeaderPair } from '../answers/common-headers.js';
import { HotAnswer, type Remembered } from './cached-response.js';

/** URLs remembered at most, and bytes that they and their answers hold beyond the cache's own bound. */
const MAX_URLS = 20_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** What an answer costs beside its body, and a URL beside its characters: objects, header lines, places in maps. */
const ANSWER_OVERHEAD_BYTES = 2048;
const URL_OVERHEAD_BYTES = 256;
/** URLs that lead to one answer: its spellings beyond them go the longer way. */
const MAX_SPELLINGS = 8;

export interface HotAnswersOptions {
  readonly now: () => number;
  /** Headers that every answer carries whoever asks; null where they depend on the request's Origin. */
  readonly steadyHeaders: readonly HeaderPair[] | null;
  readonly maxUrls?: number;
  readonly maxBytes?: number;
}

export interface HotAnswers {
  /** Keeps an answer for the next request with the same URL. LIVE and STALE ones, and expired ones, are not kept. */
  remember(request: FastifyRequest, kept: Remembered): void;
  /** To be added as an onRequest hook of the routes that remember, after all other hooks. */
  readonly hook: onRequestHookHandler;
  /** The answer to `request` if there is one at this moment, with its header lines true to the second. */
  find(request: IncomingMessage, steady: readonly HeaderPair[]): HotAnswer | undefined;
  size(): number;
}

export const createHotAnswers = (app: FastifyInstance, options: HotAnswersOptions): HotAnswers => {
  const { now, steadyHeaders, maxUrls = MAX_URLS, maxBytes = MAX_BYTES } = options;
  const entries = new Map<string, HotAnswer>();
  /** Spellings of one query have the same answer: they share an entry. */
  const byAnswer = new Map<string, HotAnswer>();
  let bytes = 0;

  const keyOf = ({ route, exchange, answer, presentation }: HotAnswer): string =>
    `${route} ${exchange} ${answer.etag} ${presentation.name}`;
  const urlBytes = (url: string): number => url.length + URL_OVERHEAD_BYTES;
  const entryBytes = ({ answer }: HotAnswer): number => answer.body.length + ANSWER_OVERHEAD_BYTES;

  const forget = (url: string, entry: HotAnswer): void => {
    entries.delete(url);
    bytes -= urlBytes(url);
    entry.urls -= 1;
    if (entry.urls > 0) return;
    bytes -= entryBytes(entry);
    if (byAnswer.get(keyOf(entry)) === entry) byAnswer.delete(keyOf(entry));
  };

  /** The entry that holds this very answer, or `made` in its place. */
  const shared = (made: HotAnswer): HotAnswer => {
    const known = byAnswer.get(keyOf(made));
    const isSame =
      known?.answer.freshUntil === made.answer.freshUntil &&
      known.answer.receivedAt === made.answer.receivedAt;
    return isSame ? known : made;
  };

  const find: HotAnswers['find'] = ({ url = '', method }, steady) => {
    const entry = entries.get(url);
    if (entry === undefined) return undefined;
    const at = now();
    if (at >= entry.answer.freshUntil || at < entry.keptAt) {
      forget(url, entry);
      return undefined;
    }
    if ((method !== 'GET' && method !== 'HEAD') || entry.standsAside) return undefined;
    entry.freshen(at, steady, app.answersArePrivate);
    return entry;
  };

  return {
    find,
    remember(request, kept) {
      const { answer } = kept;
      const { url } = request.raw;
      if ((answer.cache !== 'HIT' && answer.cache !== 'MISS') || url === undefined) return;
      const at = now();
      if (answer.freshUntil <= at || answer.body.length + ANSWER_OVERHEAD_BYTES > maxBytes) return;
      const replaced = entries.get(url);
      if (replaced !== undefined) forget(url, replaced);
      const entry = shared(
        new HotAnswer(kept, {
          route: request.routeOptions.config.url,
          access: request.routeOptions.config.access,
          at,
        }),
      );
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
      // What the plan does not allow is refused by the route, which says why.
      const isAllowed = entry !== undefined && app.permitOf(request).allows(entry.exchange, entry.candles);
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
    size: () => entries.size,
  };
};
