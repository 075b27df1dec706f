/**
 * Keys: `cdk_<id>_<secret><crc>`, 12, 32 and 6 characters of base62 (0-9A-Za-z). The id stands for the key everywhere; the
 * CRC-32 (IEEE) over all before it tells a typing error, and a key in a text, from anything else without a look-up. A
 * secret has 190 random bits: its hash needs neither salt nor a slow function.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PREFIX = 'cdk_';
const ID_LENGTH = 12;
const SECRET_LENGTH = 32;
const CRC_LENGTH = 6;
const SECRET_AT = PREFIX.length + ID_LENGTH + 1;
const CRC_AT = SECRET_AT + SECRET_LENGTH;
const KEY_LENGTH = CRC_AT + CRC_LENGTH;

const FORM = /^cdk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$/;
/** What scanners of secrets look for. */
const IN_TEXT = /cdk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}/g;

/** A number from 0 to 2^32 - 1 in base62, padded with 0 to six characters. */
const base62Of = (value: number): string => {
  let text = '';
  for (let rest = value; text.length < CRC_LENGTH; rest = Math.floor(rest / 62))
    text = (BASE62[rest % 62] ?? '') + text;
  return text;
};

const crcOf = (text: string): string => base62Of(crc32(text));

/** Of bytes, those from 248 on are passed over: every character is as likely as every other. */
const randomText = (length: number): string => {
  let text = '';
  while (text.length < length)
    for (const byte of randomBytes(length * 2)) {
      if (byte < 248 && text.length < length) text += BASE62[byte % 62] ?? '';
    }
  return text;
};

/** A key that nobody has yet. */
export const makeKey = (): string => {
  const body = `${PREFIX}${randomText(ID_LENGTH)}_${randomText(SECRET_LENGTH)}`;
  return body + crcOf(body);
};

export const looksLikeKey = (text: string): boolean => text.startsWith(PREFIX);

/** Whether `text` is a key, known or not. */
export const isKey = (text: string): boolean =>
  text.length === KEY_LENGTH && FORM.test(text) && text.slice(CRC_AT) === crcOf(text.slice(0, CRC_AT));

/** Of a text that `isKey`. */
export const idOf = (key: string): string => key.slice(PREFIX.length, PREFIX.length + ID_LENGTH);
export const last4Of = (key: string): string => key.slice(-4);

/** SHA-256 of a key, hexadecimal: what is stored of it. */
export const hashOf = (key: string): string => hash('sha256', key, 'hex');

const decodedOnce = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_match, code: string) => String.fromCharCode(Number.parseInt(code, 16)));

/** Encoded more often, a URL is nothing that anybody's software would have made of a key. */
const MAX_DECODINGS = 3;

/** The first key that stands in a URL, percent-encoded or not; null where there is none. */
export const keyInUrl = (url: string): string | null => {
  let text = url;
  for (let times = 0; times <= MAX_DECODINGS; times++) {
    for (const [found] of text.matchAll(IN_TEXT)) if (isKey(found)) return found;
    if (!text.includes('%')) return null;
    text = decodedOnce(text);
  }
  return null;
};
