import type { Candle } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { ChannelState, ItemOrigin, Judgement } from './channel-state.js';

type OhlcvItem = Extract<StreamItem, { channel: 'ohlcv' }>;

/** Newest candles remembered; a venue's first batch may be longer and is shown cut to this. */
const MAX_KNOWN_CANDLES = 3;

const same = (a: Candle, b: Candle): boolean =>
  a.open === b.open &&
  a.high === b.high &&
  a.low === b.low &&
  a.close === b.close &&
  a.volume === b.volume &&
  a.closed === b.closed;

/**
 * The newest candles. When the next period begins, the candle before it is sent once more with `closed: true`, unless
 * the feed was interrupted since its last update: then only the venue knows how it ended, and REST is asked.
 */
export class OhlcvState implements ChannelState {
  /** Oldest first. */
  #known: Candle[] = [];
  #interrupted = false;

  accept(item: StreamItem, { via }: ItemOrigin): Judgement {
    if (item.channel !== 'ohlcv' || item.candles.length === 0) return 'repeated';
    const incoming = item.candles.toSorted((a, b) => a.timestamp - b.timestamp).slice(-MAX_KNOWN_CANDLES);
    const newest = this.#known.at(-1);
    const floor = this.#known[0]?.timestamp ?? 0;
    const fresh = incoming.filter((candle) => candle.timestamp >= floor && this.#isFresh(candle));
    if (fresh.length === 0) return incoming.every((candle) => candle.timestamp < floor) ? 'late' : 'repeated';
    if (newest !== undefined) this.#closePrevious(newest, fresh);
    if (via === 'rest' || fresh.some((candle) => candle.timestamp === newest?.timestamp))
      this.#interrupted = false;
    this.#remember(fresh);
    return { channel: 'ohlcv', candles: fresh };
  }

  isNews(item: StreamItem): boolean {
    return item.channel === 'ohlcv' && item.candles.some((candle) => this.#isNewer(candle));
  }

  snapshot(): OhlcvItem | null {
    return this.#known.length === 0 ? null : { channel: 'ohlcv', candles: this.#known.slice(-2) };
  }

  interrupted(): void {
    this.#interrupted = true;
  }

  #find(timestamp: Millis): Candle | undefined {
    return this.#known.find((candle) => candle.timestamp === timestamp);
  }

  /** A closed candle is final. */
  #isFresh(candle: Candle): boolean {
    const known = this.#find(candle.timestamp);
    return known === undefined || (!known.closed && !same(known, candle));
  }

  /** Trading that the feed did not show: a changed candle, or a later one in which something was traded. */
  #isNewer(candle: Candle): boolean {
    const newest = this.#known.at(-1);
    if (newest === undefined || candle.timestamp < newest.timestamp) return false;
    if (candle.timestamp > newest.timestamp) return candle.volume === null || candle.volume > 0;
    return candle.close !== newest.close || candle.volume !== newest.volume;
  }

  #closePrevious(newest: Candle, fresh: Candle[]): void {
    const next = fresh.findIndex((candle) => candle.timestamp > newest.timestamp);
    const told = fresh.some((candle) => candle.timestamp === newest.timestamp && candle.closed);
    if (next === -1 || newest.closed || told || this.#interrupted) return;
    const open = fresh.findIndex((candle) => candle.timestamp === newest.timestamp);
    if (open === -1) fresh.splice(next, 0, { ...newest, closed: true });
    else fresh[open] = { ...(fresh[open] ?? newest), closed: true };
  }

  #remember(fresh: readonly Candle[]): void {
    const replaced = new Set(fresh.map(({ timestamp }) => timestamp));
    this.#known = [...this.#known.filter(({ timestamp }) => !replaced.has(timestamp)), ...fresh]
      .sort((a, b) => a.timestamp - b.timestamp)
      .slice(-MAX_KNOWN_CANDLES);
  }
}
