/** Answers of the candle ledger as entries of the cache. */
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';
import type { OhlcvRequest } from '../exchanges/exchange-client.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { LedgerAnswer } from '../ledger/ledger-answer.js';
import type { LedgerReader } from '../ledger/reader.js';
import type { Millis } from '../schemas/common.js';
import { venueSource } from './data-source.js';
import { freshnessOf, type FreshnessSettings } from './freshness.js';

interface EntryMaking {
  readonly ttl: FreshnessSettings;
  readonly sandbox: boolean;
  readonly now: () => Millis;
}

/** What is stored is as true in five minutes as it is now, however long ago it was checked. */
export const entryOfLedger = (
  request: OhlcvRequest,
  { body, receivedAt, closesAt, complete, via }: LedgerAnswer,
  { ttl, sandbox, now }: EntryMaking,
): CacheEntry => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const life = freshnessOf(request, { receivedAt: now(), closesAt }, ttl);
  return {
    body: bytes,
    etag: etagOf(bytes),
    receivedAt,
    closesAt,
    source: venueSource(request.exchange, via, sandbox),
    ...(complete ? life : { freshUntil: receivedAt, staleUntil: receivedAt }),
  };
};

/** One look into the store for all who ask the same at once. */
export const createKnownAnswers = (
  ledger: LedgerReader,
): ((key: string, request: OhlcvRequest) => Promise<LedgerAnswer | null>) => {
  const flights = createSingleFlight<LedgerAnswer | null>();
  return (key, request) => {
    // The latest candles are never all settled.
    if (request.since === undefined && request.until === undefined) return Promise.resolve(null);
    return flights.run(key, () => ledger.known(request));
  };
};
