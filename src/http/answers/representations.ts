/**
 * The forms in which one finished answer can leave: as JSON or CSV, as it is or compressed. Each is made once for the body
 * that it is made of, on its first use, and lives as long as that body: CSV is half as long, compressed ones a fifth. A
 * form has its own strong validator, since its bytes differ (RFC 9110, 8.8.3.3).
 */
import { gzipSync } from 'node:zlib';
import { prefersGzip } from './accept.js';
import type { HeaderPair } from './common-headers.js';
import { csvForm } from './csv-form.js';
import type { MediaForm } from './presentation.js';

export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8';

/** Names a form within an answer. */
export type RepresentationKey = MediaForm | `${MediaForm}+gzip`;

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

const JSON_HEADERS: readonly HeaderPair[] = [['content-type', JSON_CONTENT_TYPE]];
const GZIP_HEADER: HeaderPair = ['content-encoding', 'gzip'];

/** Values of Vary, added to whatever else an answer varies by. */
export const VARY_ENCODING = 'Accept-Encoding';
export const VARY_ACCEPT = 'Accept';

class Compressed implements Representation {
  readonly key: RepresentationKey;
  readonly etag: string;
  readonly contentHeaders: readonly HeaderPair[];
  readonly #plain: Buffer;
  #body: Buffer | undefined;

  constructor({ key, body, etag, contentHeaders }: Representation & { readonly key: MediaForm }) {
    this.key = `${key}+gzip`;
    this.#plain = body;
    this.etag = `${etag.slice(0, -1)}-gzip"`;
    this.contentHeaders = [...contentHeaders, GZIP_HEADER];
  }

  /** Compressed when it is first sent: a 304 needs the validator only. */
  get body(): Buffer {
    this.#body ??= gzipSync(this.#plain, { level: GZIP_LEVEL });
    return this.#body;
  }
}

/** By the body that is compressed. */
const compressed = new WeakMap<Buffer, Compressed>();

const jsonForm = ({ body, etag }: FinishedJson): Representation & { readonly key: 'json' } => ({
  key: 'json',
  etag,
  body,
  contentHeaders: JSON_HEADERS,
});

/** `answer` in `form` for a client that sent this Accept-Encoding. CSV is there of candles alone. */
export const representationFor = (
  answer: FinishedJson,
  acceptEncoding: string | undefined,
  form: MediaForm = 'json',
): Representation => {
  const plain = form === 'json' ? jsonForm(answer) : csvForm(answer);
  const { body } = plain;
  if (body.length < MIN_GZIP_BYTES || !prefersGzip(acceptEncoding)) return plain;
  const known = compressed.get(body);
  if (known !== undefined) return known;
  const made = new Compressed(plain);
  compressed.set(body, made);
  return made;
};
