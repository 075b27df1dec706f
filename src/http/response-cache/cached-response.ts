/** One cached answer with its header lines: what hot-answers.ts keeps, and how it is sent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServedAnswer } from '../../market-data/market-data-api.js';
import { withVary, type HeaderPair } from '../answers/common-headers.js';
import { canSendFinished, headerLines, linesOf, sendFinished } from './finished-response.js';
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

export interface Remembered {
  readonly answer: ServedAnswer;
  /** CCXT id, for the log. */
  readonly exchange: string;
  /** true while a live stream could answer better than the cache: then the short way stands aside. */
  readonly isLive?: () => boolean;
  /** How the address that it is kept for shows it; default: as JSON. */
  readonly presentation?: Presentation;
  /** Candles that were asked for; default: it holds none. */
  readonly candles?: number;
  /** What it costs; default 1. */
  readonly units?: number;
}

export interface OwnHeaders {
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

/** One form of an answer with its headers, made once for the same steady headers. */
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

export class HotAnswer {
  /** CCXT id. */
  readonly exchange: string;
  /** The route's pattern. */
  readonly route: string;
  /** What the route asks of callers. */
  readonly access: RouteAccess | undefined;
  readonly answer: ServedAnswer;
  readonly presentation: Presentation;
  /** Candles that were asked for; null: it holds none. */
  readonly candles: number | null;
  readonly units: number;
  readonly #isLive: (() => boolean) | undefined;
  /** By the form's name; made on first use, for `#steady`. */
  readonly #forms = new Map<RepresentationKey, Form>();
  #steady: readonly HeaderPair[] = [];
  /** What is younger than now was kept before the clock was set back: `freshUntil` could be hours away. */
  readonly keptAt: number;
  /** URLs that lead here. */
  urls = 0;
  #freshness: readonly HeaderPair[] = [];
  #freshnessLines = '';
  #freshnessUntil = 0;

  constructor(
    { answer, exchange, isLive, presentation = JSON_ONLY, candles, units = 1 }: Remembered,
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

  get standsAside(): boolean {
    return this.#isLive?.() === true;
  }

  /** Makes true for the instant `at` what the head says of freshness. */
  freshen(at: number, steady: readonly HeaderPair[], isPrivate: boolean): void {
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

  /** Writes a 200 or a 304; `media`: as the presentation says for this request. */
  send(response: ServerResponse, request: IncomingMessage, own: OwnHeaders): void {
    const { requestId, more, media } = own;
    const form = this.#formFor(media, request.headers['accept-encoding']);
    const known = isNotModified(request.headers['if-none-match'], form.etag);
    if (canSendFinished(request, response)) {
      const ownLines = `x-request-id: ${requestId}\r\n${this.#freshnessLines}${more === null ? '' : linesOf(more)}`;
      sendFinished(response, {
        status: known ? 304 : 200,
        lines: ownLines + (known ? form.shortLines : form.lines),
        body: known ? null : form.body,
        keepAliveTimeoutMs: own.keepAliveTimeoutMs,
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
