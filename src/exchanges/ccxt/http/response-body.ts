/**
 * A venue's answer as text and JSON. The compressed bytes are read whole before they are inflated, both bounded: piping
 * a body into a decompressor loses the body's error, after which nobody ever hears of that call again (CCXT.md §0.1).
 */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, gunzipSync, inflate } from 'node:zlib';

/** Binance's list of markets is 10 MB; twice three of them would still fit. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** Up to here inflating takes less time than the way to the thread pool and back. */
const SYNC_INFLATE_BYTES = 16 * 1024;

const bounds = { maxOutputLength: MAX_BODY_BYTES };
const gunzipAsync = promisify(gunzip);
const inflateAsync = promisify(inflate);
const brotliAsync = promisify(brotliDecompress);

/** A body that is not what its headers say: cut short, of an unknown encoding, or too large when inflated. */
export class UnreadableBodyError extends Error {
  override readonly name = 'UnreadableBodyError';
}

const decode = async (bytes: Uint8Array, encoding: string): Promise<Uint8Array> => {
  switch (encoding) {
    case '':
    case 'identity':
      return bytes;
    case 'gzip':
    case 'x-gzip':
      return bytes.length <= SYNC_INFLATE_BYTES ? gunzipSync(bytes, bounds) : gunzipAsync(bytes, bounds);
    case 'deflate':
      return inflateAsync(bytes, bounds);
    case 'br':
      return brotliAsync(bytes, bounds);
    default:
      throw new UnreadableBodyError('unknown content encoding');
  }
};

/** The body's text. Rejects with UnreadableBodyError. */
export const readText = async (bytes: Uint8Array, encoding: string | undefined): Promise<string> => {
  try {
    const plain = bytes.length === 0 ? bytes : await decode(bytes, encoding?.trim().toLowerCase() ?? '');
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
