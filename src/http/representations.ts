/**
 * The forms in which one finished answer can leave: as it is, or compressed. Each is made once for the body that it is
 * made of, on its first use, and lives as long as that body. A form has its own strong validator, since its bytes
 * differ (RFC 9110, 8.8.3.3).
 */
import { gzipSync } from 'node:zlib';
import { prefersGzip } from './accept.js';
import type { HeaderPair } from './common-headers.js';

export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8';

/** Names a form within an answer; another media type would be another name beside these. */
export type RepresentationKey = 'json' | 'json+gzip';

export interface Representation {
  readonly key: RepresentationKey;
  readonly etag: string;
  readonly body: Buffer;
  /** What says how to read the body; not sent with a 304. */
  readonly contentHeaders: readonly HeaderPair[];
}

/** Finished JSON with its strong validator in quotes. */
export interface FinishedJson {
  readonly body: Buffer;
  readonly etag: string;
}

/** Smaller bodies fit into one packet either way. */
const MIN_GZIP_BYTES = 1024;
/** The fastest: candles shrink to a fifth, and 250 kB of them block the thread for a millisecond, once an entry. */
const GZIP_LEVEL = 1;

const TYPE: HeaderPair = ['content-type', JSON_CONTENT_TYPE];
const PLAIN: readonly HeaderPair[] = [TYPE];
const GZIP: readonly HeaderPair[] = [TYPE, ['content-encoding', 'gzip']];

/** The header that tells caches of it; added to whatever else an answer varies by. */
export const VARY_ENCODING = 'Accept-Encoding';

class Compressed implements Representation {
  readonly key = 'json+gzip';
  readonly etag: string;
  readonly contentHeaders = GZIP;
  readonly #plain: Buffer;
  #body: Buffer | undefined;

  constructor({ body, etag }: FinishedJson) {
    this.#plain = body;
    this.etag = `${etag.slice(0, -1)}-gzip"`;
  }

  /** Compressed when it is first sent: a 304 needs the validator only. */
  get body(): Buffer {
    this.#body ??= gzipSync(this.#plain, { level: GZIP_LEVEL });
    return this.#body;
  }
}

const compressed = new WeakMap<Buffer, Compressed>();

/** The form of `answer` for a client that sent this Accept-Encoding. */
export const representationFor = (
  answer: FinishedJson,
  acceptEncoding: string | undefined,
): Representation => {
  const { body, etag } = answer;
  if (body.length < MIN_GZIP_BYTES || !prefersGzip(acceptEncoding))
    return { key: 'json', etag, body, contentHeaders: PLAIN };
  const known = compressed.get(body);
  if (known !== undefined) return known;
  const made = new Compressed(answer);
  compressed.set(body, made);
  return made;
};
