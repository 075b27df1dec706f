/**
 * The short way for cached answers: raw URL → an answer whose query was already validated, with its header lines made
 * beforehand. As a hook it stands after all others (count, limits, life cycle), so nothing is skipped but routing's
 * rest: parsing and validating the query, the look-up in the cache, Fastify's reply. front-door.ts is shorter still.
 * It never serves past `freshUntil`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { ServedAnswer } from '../market-data/market-data-api.js';
import { withVary, type HeaderPair } from './common-headers.js';
import { freshnessHeaders, isNotModified } from './json-answer.js';
import {
  representationFor,
  VARY_ENCODING,
  type Representation,
  type RepresentationKey,
} from './representations.js';

/** URLs remembered at most, and bytes that they and their answers hold beyond the cache's own bound. */
const MAX_URLS = 20_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** What an answer costs beside its body, and a URL beside its characters: objects, header lines, places in maps. */
const ANSWER_OVERHEAD_BYTES = 2048;
const URL_OVERHEAD_BYTES = 256;
/** URLs that lead to one answer: its spellings beyond them go the longer way. */
const MAX_SPELLINGS = 8;
/** Smaller bodies are joined to the head in one string, larger ones stay bytes: one copy less. */
const MAX_TEXT_BYTES = 4096;

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

interface HotAnswer {
  /** CCXT id. */
  readonly exchange: string;
  /** The route's pattern. */
  readonly route: string;
  /** Writes a 200 or a 304. `more`: headers of this request alone. */
  send(response: ServerResponse, request: IncomingMessage, own: OwnHeaders): void;
}

interface OwnHeaders {
  readonly requestId: string;
  readonly more: readonly HeaderPair[] | null;
}

interface Remembered {
  readonly answer: ServedAnswer;
  /** CCXT id, for the log. */
  readonly exchange: string;
  /** true while a live stream could answer better than the cache: then the short way stands aside. */
  readonly isLive?: () => boolean;
}

/** Where the values are that change: the request's own id, and what is true for a second only. */
const REQUEST_ID_AT = 1;
const CACHE_CONTROL_AT = 3;
const AGE_AT = 5;

/** Where the seconds of Age or max-age change next. */
const nextSecond = ({ receivedAt, freshUntil }: ServedAnswer, at: number): number => {
  const untilOlder = 1000 - (Math.max(0, at - receivedAt) % 1000);
  const untilLess = (freshUntil - at) % 1000;
  return at + Math.min(untilOlder, untilLess + 1);
};

/** Header lines as Node takes them: name, value, name, value … The first three values are filled in when it is sent. */
const makeHead = (answer: ServedAnswer, etag: string, more: readonly HeaderPair[]): string[] =>
  [
    ...(['x-request-id', 'cache-control', 'age'] as const).map((name) => [name, ''] as const),
    ['etag', etag] as const,
    ['x-cache', 'HIT'] as const,
    ['data-source', answer.source] as const,
    ...withVary(more, VARY_ENCODING),
  ].flat();

/** One form of an answer with its header lines, made once for the same steady headers. */
interface Form {
  readonly etag: string;
  readonly body: string | Buffer;
  /** Of a 200 and of a 304. */
  readonly head: string[];
  readonly shortHead: string[];
}

const makeForm = (answer: ServedAnswer, form: Representation, steady: readonly HeaderPair[]): Form => {
  const { etag, body, contentHeaders } = form;
  const shortHead = makeHead(answer, etag, steady);
  return {
    etag,
    // latin1 maps each byte to one character and back: all bytes pass through unchanged.
    body: body.length <= MAX_TEXT_BYTES ? body.toString('latin1') : body,
    shortHead,
    head: [...shortHead, ...contentHeaders.flat(), 'content-length', String(body.length)],
  };
};

class Entry implements HotAnswer {
  readonly exchange: string;
  readonly route: string;
  readonly answer: ServedAnswer;
  readonly #isLive: (() => boolean) | undefined;
  /** By the form's name; made on first use, for `#steady`. */
  readonly #forms = new Map<RepresentationKey, Form>();
  #steady: readonly HeaderPair[] = [];
  /** What is younger than now was kept before the clock was set back: `freshUntil` could be hours away. */
  readonly keptAt: number;
  /** URLs that lead here. */
  urls = 0;
  #cacheControl = '';
  #age = '';
  #freshnessUntil = 0;

  constructor({ answer, exchange, isLive }: Remembered, { route, at }: { route: string; at: number }) {
    this.answer = answer;
    this.keptAt = at;
    this.exchange = exchange;
    this.route = route;
    this.#isLive = isLive;
  }

  get standsAside(): boolean {
    return this.#isLive?.() === true;
  }

  /** Makes true for the instant `at` what the head says of freshness. */
  freshen(at: number, steady: readonly HeaderPair[]): void {
    if (steady !== this.#steady) {
      this.#steady = steady;
      this.#forms.clear();
    }
    if (at < this.#freshnessUntil) return;
    const [[, cacheControl], [, age]] = freshnessHeaders(this.answer, at);
    this.#cacheControl = cacheControl;
    this.#age = age;
    this.#freshnessUntil = nextSecond(this.answer, at);
  }

  #formFor(acceptEncoding: string | undefined): Form {
    const representation = representationFor(this.answer, acceptEncoding);
    const known = this.#forms.get(representation.key);
    if (known !== undefined) return known;
    const made = makeForm(this.answer, representation, this.#steady);
    this.#forms.set(representation.key, made);
    return made;
  }

  send(response: ServerResponse, request: IncomingMessage, { requestId, more }: OwnHeaders): void {
    const form = this.#formFor(request.headers['accept-encoding']);
    const known = isNotModified(request.headers['if-none-match'], form.etag);
    // Shared by all requests: used at once, within this turn.
    const head = known ? form.shortHead : form.head;
    head[REQUEST_ID_AT] = requestId;
    head[CACHE_CONTROL_AT] = this.#cacheControl;
    head[AGE_AT] = this.#age;
    response.writeHead(known ? 304 : 200, more === null ? head : head.concat(...more));
    if (known) response.end();
    else if (typeof form.body === 'string') response.end(form.body, 'latin1');
    else response.end(form.body);
  }
}

export const createHotAnswers = (app: FastifyInstance, options: HotAnswersOptions): HotAnswers => {
  const { now, steadyHeaders, maxUrls = MAX_URLS, maxBytes = MAX_BYTES } = options;
  const entries = new Map<string, Entry>();
  /** Spellings of one query have the same answer: they share an entry. */
  const byAnswer = new Map<string, Entry>();
  let bytes = 0;

  const keyOf = ({ route, exchange, answer }: Entry): string => `${route} ${exchange} ${answer.etag}`;
  const urlBytes = (url: string): number => url.length + URL_OVERHEAD_BYTES;
  const entryBytes = ({ answer }: Entry): number => answer.body.length + ANSWER_OVERHEAD_BYTES;

  const forget = (url: string, entry: Entry): void => {
    entries.delete(url);
    bytes -= urlBytes(url);
    entry.urls -= 1;
    if (entry.urls > 0) return;
    bytes -= entryBytes(entry);
    if (byAnswer.get(keyOf(entry)) === entry) byAnswer.delete(keyOf(entry));
  };

  /** The entry that holds this very answer, or `made` in its place. */
  const shared = (made: Entry): Entry => {
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
    entry.freshen(at, steady);
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
      const entry = shared(new Entry(kept, { route: request.routeOptions.config.url, at }));
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
      if (entry === undefined) {
        done();
        return;
      }
      request.cacheState = 'HIT';
      request.exchangeId = entry.exchange;
      reply.hijack();
      request.answered();
      entry.send(reply.raw, request.raw, { requestId: request.id, more: request.limitHeaders });
    },
    size: () => entries.size,
  };
};
