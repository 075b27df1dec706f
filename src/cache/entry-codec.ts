/**
 * Entries as the shared tier keeps them: a header with magic and version, lengths, times, validator and source, then
 * the body. A check sum over the key and everything else tells a value that was cut, altered, or given in answer to
 * another key's question; whatever does not fit exactly is a miss.
 *
 *   0 magic  4 crc32  8 receivedAt  16 freshUntil  24 staleUntil  32 closesAt (NaN: none)
 *   40 length of etag  41 length of source  42 flags (1: untimed, the rest: length of stats)  44 length of body
 *   48 etag, source, body, stats
 */
import { crc32 } from 'node:zlib';
import type { Millis } from '../schemas/common.js';
import { tickerStats, type TickerStats } from '../schemas/market.js';
import { isFromLater, type CacheEntry } from './cache-entry.js';

/** The last byte is the version of this layout. */
const MAGIC = Buffer.from('MCD2');
const SUMMED_FROM = 8;
const HEADER_BYTES = 48;
/** The venue gave no time of its own. */
const UNTIMED = 1;
/** Unit of the bits above that flag: six numbers as JSON fit many times. */
const STATS_LENGTH = 2;
/** … with the longest etag and source. */
export const MAX_HEADER_BYTES = HEADER_BYTES + 2 * 255;
/** Durations cannot be set longer than a day. */
const MAX_LIFE_MS = 2 * 86_400_000;
const PRINTABLE = /^[\x20-\x7e]{1,100}$/;

const checkSum = (key: string, summed: Buffer): number => crc32(summed, crc32(key));

export const encodeEntry = (key: string, entry: CacheEntry): Buffer => {
  const { body, etag, source, receivedAt, freshUntil, staleUntil, closesAt, untimed } = entry;
  const stats = entry.stats === undefined ? '' : JSON.stringify(entry.stats);
  const bodyAt = HEADER_BYTES + etag.length + source.length;
  const value = Buffer.allocUnsafe(bodyAt + body.length + stats.length);
  MAGIC.copy(value);
  value.writeDoubleLE(receivedAt, 8);
  value.writeDoubleLE(freshUntil, 16);
  value.writeDoubleLE(staleUntil, 24);
  value.writeDoubleLE(closesAt ?? NaN, 32);
  value.writeUInt8(etag.length, 40);
  value.writeUInt8(source.length, 41);
  value.writeUInt16LE((untimed === true ? UNTIMED : 0) + stats.length * STATS_LENGTH, 42);
  value.writeUInt32LE(body.length, 44);
  value.write(etag + source, HEADER_BYTES, 'latin1');
  body.copy(value, bodyAt);
  value.write(stats, bodyAt + body.length, 'latin1');
  value.writeUInt32LE(checkSum(key, value.subarray(SUMMED_FROM)), 4);
  return value;
};

const timesAreSane = (entry: CacheEntry): boolean => {
  const { receivedAt, freshUntil, staleUntil, closesAt } = entry;
  if (![receivedAt, freshUntil, staleUntil, closesAt ?? 0].every(Number.isFinite)) return false;
  return receivedAt <= freshUntil && freshUntil <= staleUntil && staleUntil - receivedAt <= MAX_LIFE_MS;
};

/** `corrupt`: not a value of ours. `undefined` in its place: sound, but of no use at this instant. */
export type Decoded = { readonly entry: CacheEntry | undefined } | 'corrupt';

/** null: not what this server writes. */
const readStats = (text: string): TickerStats | null | undefined => {
  if (text === '') return undefined;
  try {
    return tickerStats.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
};

export const decodeEntry = (key: string, value: Buffer, at: Millis): Decoded => {
  if (value.length < HEADER_BYTES || !value.subarray(0, MAGIC.length).equals(MAGIC)) return 'corrupt';
  const sourceAt = HEADER_BYTES + value.readUInt8(40);
  const bodyAt = sourceAt + value.readUInt8(41);
  const statsAt = bodyAt + value.readUInt32LE(44);
  const flags = value.readUInt16LE(42);
  if (value.length !== statsAt + Math.floor(flags / STATS_LENGTH)) return 'corrupt';
  if (value.readUInt32LE(4) !== checkSum(key, value.subarray(SUMMED_FROM))) return 'corrupt';
  const closesAt = value.readDoubleLE(32);
  const stats = readStats(value.toString('latin1', statsAt));
  if (stats === null) return 'corrupt';
  const entry: CacheEntry = {
    // A copy of its own: the value is a view of a larger read buffer that must not be kept alive.
    body: Buffer.from(value.subarray(bodyAt, statsAt)),
    etag: value.toString('latin1', HEADER_BYTES, sourceAt),
    source: value.toString('latin1', sourceAt, bodyAt),
    receivedAt: value.readDoubleLE(8),
    freshUntil: value.readDoubleLE(16),
    staleUntil: value.readDoubleLE(24),
    closesAt: Number.isNaN(closesAt) ? null : closesAt,
    ...(flags % STATS_LENGTH === UNTIMED ? { untimed: true } : {}),
    ...(stats === undefined ? {} : { stats }),
  };
  // These two become header lines.
  if (!PRINTABLE.test(entry.etag) || !PRINTABLE.test(entry.source) || !timesAreSane(entry)) return 'corrupt';
  const usable = at < entry.staleUntil && !isFromLater(entry, at);
  return { entry: usable ? entry : undefined };
};
