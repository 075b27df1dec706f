/** Candles of the selected market: history over REST, then live; older ones when they are wanted, holes read again. */
import { computed, signal } from '@preact/signals';
import type { Candle, Gap } from '../../client/client.js';
import { createFeed, subscribe } from '../state/feeds.js';
import { inNextFrame } from '../state/frame.js';
import { endOfPeriod, periodOf } from '../state/periods.js';
import { askAgain, client, describe, serverTime, standIn } from '../state/server.js';
import type { Selection } from '../state/address.js';
import { holesOf, mergeCandles, placesOf, saysMore } from './candles.js';

const PAGE = 500;
/** Candles that a page keeps; older ones than these are not asked for. */
const MAX_CANDLES = 5000;

export const createSeries = (market: Selection) => {
  const { exchange, symbol, interval } = market;
  const candles = signal<readonly Candle[]>([]);
  const gaps = signal<readonly Gap[]>([]);
  const fault = signal<string | null>(null);
  const isLoading = signal(true);
  const feed = createFeed<Candle>();
  const holes = computed(() => holesOf(candles.value, gaps.value, interval));
  const places = computed(() => placesOf(candles.value, holes.value, interval));
  let isOver = false;
  let isOldest = false;
  let fetching: Promise<void> | null = null;

  /** By the server's clock; undefined before the first event that is new: a reader's first one repeats what may be old. */
  const heardAt = signal<number | undefined>(undefined);

  const take = (more: readonly Candle[], moreGaps: readonly Gap[] = []): void => {
    candles.value = mergeCandles(known(more), more);
    // What was read anew says itself what is missing in its range.
    const begin = more[0]?.timestamp ?? 0;
    if (moreGaps.length > 0 || gaps.peek().length > 0)
      gaps.value = [...gaps.peek().filter((gap) => gap.to <= begin || more.length === 0), ...moreGaps];
  };

  /** What was known before a long absence, and does not reach up to `more`, is dropped: it can be asked for again. */
  const known = (more: readonly Candle[]): readonly Candle[] => {
    const [first] = more;
    const last = candles.peek().at(-1);
    if (first === undefined || last === undefined || more.length < PAGE) return candles.peek();
    return first.timestamp > endOfPeriod(last.timestamp, interval) ? [] : candles.peek();
  };

  const fetch = (query: { readonly since?: number; readonly until?: number }): Promise<void> => {
    fetching ??= (async () => {
      isLoading.value = true;
      try {
        const answer = await client.peek().ohlcv({ exchange, symbol, interval, limit: PAGE, ...query });
        if (isOver) return;
        fault.value = null;
        isOldest = query.until !== undefined && answer.candles.length === 0;
        inNextFrame(`history ${interval}`, () => take(answer.candles, answer.gaps));
      } catch (error) {
        if (isOver) return;
        fault.value = describe(error);
        askAgain(error, () => {
          if (!isOver) void fetch(query);
        });
      } finally {
        fetching = null;
        isLoading.value = false;
      }
    })();
    return fetching;
  };

  let waiting: Candle[] = [];
  const follow = (): (() => void) => {
    isOver = false;
    let isRepeat = true;
    void fetch({});
    const end = subscribe({ channel: 'ohlcv', exchange, symbol, interval }, feed, (event) => {
      if (event.event_type !== 'ohlcv') return;
      waiting.push(...event.candles);
      inNextFrame('candles', () => {
        const more = waiting.slice(-PAGE);
        waiting = [];
        const last = candles.peek().at(-1);
        const first = more[0];
        if (!isRepeat && saysMore(candles.peek(), more)) heardAt.value = serverTime();
        isRepeat = false;
        take(more);
        if (standIn.peek() === 'STALE') standIn.value = '';
        // A hole between what was known and what came: it is asked for, and drawn as one until it is filled.
        const length = periodOf(interval);
        if (last !== undefined && first !== undefined && length !== null)
          if (first.timestamp > endOfPeriod(last.timestamp, interval)) void fetch({ since: last.timestamp });
      });
    });
    return () => {
      isOver = true;
      end();
    };
  };

  return {
    market,
    candles,
    holes,
    places,
    fault,
    isLoading,
    feed,
    heardAt,
    follow,
    /** Nothing where there are none. */
    older(): void {
      const first = candles.peek()[0];
      if (first === undefined || isOldest || fetching !== null || candles.peek().length >= MAX_CANDLES)
        return;
      void fetch({ until: first.timestamp });
    },
  };
};
export type Series = ReturnType<typeof createSeries>;
