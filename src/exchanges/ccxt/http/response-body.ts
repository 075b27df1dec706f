/**
 * A venue's answer as text and JSON. The compressed bytes are read whole before they are inflated, both bounded: piping
 * a body into a decompressor loses the body's error, after which that call never settles (docs/ccxt.md#timeouts-and-bodies).
 */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, gunzipSync, inflate, inflateRaw } from 'node:zlib';

/** Binance's list of markets is 10 MB; twice three of them would still fit. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** Up to here inflating takes less time than the way to the thread pool and back. */
const SYNC_INFLATE_BYTES = 16 * 1024;

const bounds = { maxOutputLength: MAX_BODY_BYTES };
const gunzipAsync = promisify(gunzip);
const inflateAsync = promisify(inflate);
const inflateRawAsync = promisify(inflateRaw);
const brotliAsync = promisify(brotliDecompress);

/** What is known of an answer for certain, before CCXT has looked at it. Header names in lower case. */
export interface VenueResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly json: unknown;
}

/** A body that is not what its headers say: cut short, or too large when inflated. */
export class UnreadableBodyError extends Error {
  override readonly name = 'UnreadableBodyError';
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;
/** RFC 1950's header; some servers send `deflate` without it. */
const hasZlibHeader = (bytes: Uint8Array): boolean =>
  ((bytes[0] ?? 0) & 15) === 8 && (((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)) % 31 === 0;
const isPlainJson = (bytes: Uint8Array): boolean => {
  const first = bytes.find((byte) => byte > 0x20);
  return first === 0x7b || first === 0x5b;
};

const gunzipped = (bytes: Uint8Array): Uint8Array | Promise<Uint8Array> =>
  bytes.length <= SYNC_INFLATE_BYTES ? gunzipSync(bytes, bounds) : gunzipAsync(bytes, bounds);

/** Undoes one coding. Words that are no coding (`none`, `utf-8`) leave the bytes as they are. */
const decodeOne = (bytes: Uint8Array, coding: string): Uint8Array | Promise<Uint8Array> => {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return gunzipped(bytes);
    case 'deflate':
      return hasZlibHeader(bytes) ? inflateAsync(bytes, bounds) : inflateRawAsync(bytes, bounds);
    case 'br':
      return brotliAsync(bytes, bounds);
    case 'zstd':
    case 'compress':
    case 'x-compress':
      throw new UnreadableBodyError('a content encoding that was not asked for');
    default:
      return bytes;
  }
};

/** Codings that a header names; more are no answer but an attempt to keep this server busy. */
const MAX_CODINGS = 4;

/** Codings are listed in the order in which they were applied (RFC 9110, 8.4). */
const decode = async (bytes: Uint8Array, header: string): Promise<Uint8Array> => {
  const codings = header.toLowerCase().split(',', MAX_CODINGS);
  const undone = new Set<string>();
  let plain = bytes;
  for (const named of codings.reverse()) {
    const coding = named.trim();
    // Two servers on the way each wrote the header, one of them compressed.
    if (undone.has(coding) && isPlainJson(plain)) continue;
    plain = await decodeOne(plain, coding);
    undone.add(coding);
  }
  // Compressed without a header that says so, or once more than the header says.
  return isGzip(plain) ? gunzipped(plain) : plain;
};

/** The body's text. Rejects with UnreadableBodyError. */
export const readText = async (bytes: Uint8Array, encoding: string | undefined): Promise<string> => {
  try {
    const plain = bytes.length === 0 ? bytes : await decode(bytes, encoding ?? '');
    return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength).toString('utf8').trim();
  } catch (error) {
    if (error instanceof UnreadableBodyError) throw error;
    throw new UnreadableBodyError('the body does not match its encoding', { cause: error });
  }
};

/** Not JSON, or JSON that is neither an object nor a list: no venue answers so on purpose. */
export const NOT_JSON = Symbol('not JSON');

export const parseBody = (text: string): unknown => {
  if (!text.startsWith('{') && !text.startsWith('[')) return NOT_JSON;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return NOT_JSON;
  }
};
