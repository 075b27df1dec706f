/** One entry of the response cache: an answer, its header lines for each representation, and how it is sent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServedAnswer } from '../../market-data/market-data-api.js';
import { withVary, type HeaderPair } from '../answers/common-headers.js';
import { canSendRaw, headerLines, linesOf, sendRaw } from './raw-response.js';
import { freshnessHeaders, isNotModified } from '../answers/json-answer.js';
import { JSON_ONLY, type MediaForm, type Presentation } from '../answers/presentation.js';
import type { RouteAccess } from '../access/route-access.js';
import {
  representationFor,
  VARY_ACCEPT,
  VARY_ENCODING,
  type Representation,
  type RepresentationKey,
} from '../answers/representations.js';

/** Smaller bodies are joined to the head in one string, larger ones stay bytes: one copy less. */
const MAX_TEXT_BYTES = 16 * 1024;

export interface Cacheable {
  readonly answer: ServedAnswer;
  /** CCXT id, for the log. */
  readonly exchange: string;
  /** true while a live stream has a newer answer: the entry is passed over then. */
  readonly isLive?: () => boolean;
  /** Which forms its address offers; default: JSON alone. */
  readonly presentation?: Presentation;
  /** Candles that were asked for; default: it is not about candles. */
  readonly candles?: number;
  /** What it costs; default 1. */
  readonly units?: number;
}

/** What differs from request to request. */
export interface RequestParts {
  readonly media: MediaForm;
  /** Of the charset that request-id.ts accepts. */
  readonly requestId: string;
  /** Headers of this request alone: names and values of ours, which need no check. */
  readonly more: readonly HeaderPair[] | null;
  /** http.Server's. */
  readonly keepAliveTimeoutMs: number;
}

/** Where the seconds of Age or max-age change next. */
const nextSecond = ({ receivedAt, freshUntil }: ServedAnswer, at: number): number => {
  const untilOlder = 1000 - (Math.max(0, at - receivedAt) % 1000);
  const untilLess = (freshUntil - at) % 1000;
  return at + Math.min(untilOlder, untilLess + 1);
};

/** One representation with its headers, made once for the same steady headers. */
interface Form {
  readonly etag: string;
  readonly body: string | Buffer;
  /** Of a 200 and of a 304, without what changes from request to request or from second to second. */
  readonly headers: readonly HeaderPair[];
  readonly shortHeaders: readonly HeaderPair[];
  /** The same as text. */
  readonly lines: string;
  readonly shortLines: string;
}

interface FormParts {
  readonly answer: ServedAnswer;
  readonly representation: Representation;
  readonly steady: readonly HeaderPair[];
  readonly varies: boolean;
  /** Of a 200 alone. */
  readonly more: readonly HeaderPair[];
}

const makeForm = ({ answer, representation, steady, varies, more }: FormParts): Form => {
  const { etag, body, contentHeaders } = representation;
  const encoded = withVary(steady, VARY_ENCODING);
  const shortHeaders: readonly HeaderPair[] = [
    ['etag', etag],
    ['x-cache', 'HIT'],
    ['data-source', answer.source],
    ...(varies ? withVary(encoded, VARY_ACCEPT) : encoded),
  ];
  const headers: readonly HeaderPair[] = [
    ...shortHeaders,
    ...contentHeaders,
    ...more,
    ['content-length', String(body.length)],
  ];
  return {
    etag,
    // latin1 maps each byte to one character and back: all bytes pass through unchanged.
    body: body.length <= MAX_TEXT_BYTES ? body.toString('latin1') : body,
    shortHeaders,
    headers,
    shortLines: headerLines(shortHeaders),
    lines: headerLines(headers),
  };
};

export class CachedResponse {
  /** CCXT id. */
  readonly exchange: string;
  /** The route's pattern. */
  readonly route: string;
  /** What the route asks of callers. */
  readonly access: RouteAccess | undefined;
  readonly answer: ServedAnswer;
  readonly presentation: Presentation;
  /** Candles that were asked for; null: it is not about candles. */
  readonly candles: number | null;
  readonly units: number;
  readonly #isLive: (() => boolean) | undefined;
  /** By representation (JSON or CSV, plain or gzip); made on first use, for `#steady`. */
  readonly #forms = new Map<RepresentationKey, Form>();
  #steady: readonly HeaderPair[] = [];
  /** A time in the future means that the clock was set back since: `freshUntil` could be hours away. */
  readonly keptAt: number;
  /** URLs under which it is cached. */
  urls = 0;
  #freshness: readonly HeaderPair[] = [];
  #freshnessLines = '';
  #freshnessUntil = 0;

  constructor(
    { answer, exchange, isLive, presentation = JSON_ONLY, candles, units = 1 }: Cacheable,
    { route, access, at }: { route: string; access?: RouteAccess | undefined; at: number },
  ) {
    this.answer = answer;
    this.presentation = presentation;
    this.candles = candles ?? null;
    this.units = units;
    this.keptAt = at;
    this.exchange = exchange;
    this.route = route;
    this.access = access;
    this.#isLive = isLive;
  }

  /** A live stream has a newer answer. */
  get isSuperseded(): boolean {
    return this.#isLive?.() === true;
  }

  /** Makes Age and Cache-Control true for the instant `at`. */
  updateFreshness(at: number, steady: readonly HeaderPair[], isPrivate: boolean): void {
    if (steady !== this.#steady) {
      this.#steady = steady;
      this.#forms.clear();
    }
    if (at < this.#freshnessUntil) return;
    this.#freshness = freshnessHeaders(this.answer, at, isPrivate);
    this.#freshnessLines = headerLines(this.#freshness);
    this.#freshnessUntil = nextSecond(this.answer, at);
  }

  #formFor(form: MediaForm, acceptEncoding: string | undefined): Form {
    const representation = representationFor(this.answer, acceptEncoding, form);
    const known = this.#forms.get(representation.key);
    if (known !== undefined) return known;
    const made = makeForm({
      ...{ answer: this.answer, representation, steady: this.#steady },
      ...{ varies: this.presentation.varies, more: this.presentation.headersOf(form) },
    });
    this.#forms.set(representation.key, made);
    return made;
  }

  /** Writes a 200 or a 304; `media`: the form that the presentation chose for this request. */
  send(response: ServerResponse, request: IncomingMessage, parts: RequestParts): void {
    const { requestId, more, media } = parts;
    const form = this.#formFor(media, request.headers['accept-encoding']);
    const known = isNotModified(request.headers['if-none-match'], form.etag);
    if (canSendRaw(request, response)) {
      const requestLines = `x-request-id: ${requestId}\r\n${this.#freshnessLines}${more === null ? '' : linesOf(more)}`;
      sendRaw(response, {
        status: known ? 304 : 200,
        lines: requestLines + (known ? form.shortLines : form.lines),
        body: known ? null : form.body,
        keepAliveTimeoutMs: parts.keepAliveTimeoutMs,
      });
      return;
    }
    const headers = known ? form.shortHeaders : form.headers;
    response.writeHead(
      known ? 304 : 200,
      [['x-request-id', requestId], ...this.#freshness, ...headers, ...(more ?? [])].flat(),
    );
    if (known) response.end();
    else response.end(form.body, 'latin1');
  }
}
