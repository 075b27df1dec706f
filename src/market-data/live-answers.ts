/** REST answers made of a running stream's last tick: one body a tick, however many ask for it. */
import { LRUCache } from 'lru-cache';
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';
import type { ExchangeId } from '../schemas/common.js';
import { venueSource } from './data-source.js';
import type { LiveTicker } from './market-data-api.js';

/** Bodies kept: one per symbol that is streamed and asked for over REST at the same time. */
const MAX_BODIES = 2_000;

const bodyOf = (exchange: ExchangeId, tick: LiveTicker): Buffer => {
  const { symbol, bid, ask, last, timestamp } = tick;
  const head = JSON.stringify({ exchange, symbol, bid, ask, last, timestamp });
  return Buffer.from(`${head.slice(0, -1)},"raw":${tick.rawJson}}`);
};

export interface LiveAnswers {
  /** The tick as an entry; the same object for as long as it is the same tick. Not to be cached further. */
  of(exchange: ExchangeId, tick: LiveTicker): CacheEntry;
}

/** `sandbox`: the venues are simulated, which the Data-Source says. */
export const createLiveAnswers = (sandbox: boolean): LiveAnswers => {
  const made = new LRUCache<string, { readonly tick: LiveTicker; readonly entry: CacheEntry }>({
    max: MAX_BODIES,
  });
  const sameTick = (a: LiveTicker, b: LiveTicker): boolean =>
    a === b || (a.receivedAt === b.receivedAt && a.timestamp === b.timestamp && a.rawJson === b.rawJson);
  return {
    of(exchange, tick) {
      const key = `${exchange} ${tick.symbol}`;
      const known = made.get(key);
      if (known !== undefined && sameTick(known.tick, tick)) return known.entry;
      const body = bodyOf(exchange, tick);
      const { receivedAt } = tick;
      const source = venueSource(exchange, 'websocket', sandbox);
      // The next tick may come at any moment: fresh for no time at all.
      const times = { receivedAt, freshUntil: receivedAt, staleUntil: receivedAt, closesAt: null };
      const entry = { body, etag: etagOf(body), source, ...times };
      made.set(key, { tick, entry });
      return entry;
    },
  };
};
