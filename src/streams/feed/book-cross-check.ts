/**
 * Live order books whose messages carry nothing to check them by, compared with REST: one book of an exchange at a time.
 * A book that differs is checked again at once; one that differs again is wrong. REST answers may be some seconds old, so
 * only levels count that did not change for a while before and after.
 */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Timers } from '../../lib/timers.js';
import { type RestFetch, STREAM_BOOK_LEVELS } from './rest-items.js';
import type { PriceLevel } from '../../schemas/market.js';

/** From one check to the next one of an exchange. A check and its repetition end within a minute of the last one. */
const PERIOD_MS: Millis = 40_000;
/** Live books are collected so long before REST is asked, and so long after it answered. */
const BEFORE_MS: Millis = 4_000;
const AFTER_MS: Millis = 1_000;
/** Fewer levels that differ may have moved unseen. */
const MIN_DIFFERING = 2;
/** Live books collected for one check; they come at most every 100 ms. */
const MAX_COLLECTED = 400;

type BookItem = Extract<StreamItem, { channel: 'orderbook' }>;

/** One feed's live book, for as long as the feed is open. */
export class CheckedBook {
  readonly exchange: ExchangeId;
  readonly fetchRest: RestFetch;
  readonly onWrong: () => void;
  #latest: BookItem | null = null;
  #collected: BookItem[] | null = null;
  /** REST agreed since the last time that it did not. */
  #agreed = false;
  #renewed = false;

  /** `onWrong`: the book is not what REST shows. */
  constructor(parts: {
    readonly exchange: ExchangeId;
    readonly fetchRest: RestFetch;
    readonly onWrong: () => void;
  }) {
    this.exchange = parts.exchange;
    this.fetchRest = parts.fetchRest;
    this.onWrong = parts.onWrong;
  }

  received(item: StreamItem): void {
    if (item.channel !== 'orderbook') return;
    this.#latest = item;
    if (this.#collected !== null && this.#collected.length < MAX_COLLECTED) this.#collected.push(item);
  }

  collect(): void {
    this.#collected = this.#latest === null ? [] : [this.#latest];
  }

  /** Whether REST shows the same; undefined where it is no evidence. Ends the collection. */
  compare(rest: StreamItem): boolean | undefined {
    const live = this.#collected ?? [];
    this.#collected = null;
    if (rest.channel !== 'orderbook' || live.length === 0) return undefined;
    const same = differingLevels(rest, live, STREAM_BOOK_LEVELS) < MIN_DIFFERING;
    if (same) this.#agreed = true;
    return same;
  }

  /** Called when it differed twice. REST books that never agreed are of another kind than the live ones: reported once. */
  renew(): void {
    if (!this.#agreed && this.#renewed) return;
    this.#agreed = false;
    this.#renewed = true;
    this.onWrong();
  }

  /** The feed broke: what comes next is another book. */
  forget(): void {
    this.#latest = null;
    this.#collected = null;
  }
}

interface Turn {
  /** In the order of their turns. */
  readonly books: Set<CheckedBook>;
  cancel: (() => void) | null;
}

export class BookCrossCheck {
  readonly #timers: Timers;
  readonly #random: () => number;
  /** By exchange; bounded by the enabled ones. */
  readonly #turns = new Map<ExchangeId, Turn>();

  constructor({ timers, random }: { readonly timers: Timers; readonly random: () => number }) {
    this.#timers = timers;
    this.#random = random;
  }

  /** From a feed's first live book on. */
  begin(book: CheckedBook): void {
    const turn = this.#turns.get(book.exchange) ?? { books: new Set(), cancel: null };
    this.#turns.set(book.exchange, turn);
    turn.books.add(book);
    if (turn.cancel === null) this.#next(turn);
  }

  /** Its feed broke or was closed. */
  end(book: CheckedBook): void {
    book.forget();
    const turn = this.#turns.get(book.exchange);
    if (turn?.books.delete(book) !== true || turn.books.size > 0) return;
    turn.cancel?.();
    this.#turns.delete(book.exchange);
  }

  #next(turn: Turn): void {
    const [book] = turn.books;
    if (book === undefined) return;
    // Never longer than the period: a wrong book is reported within a minute.
    this.#wait(turn, PERIOD_MS * (0.9 + this.#random() * 0.1), () => {
      turn.books.delete(book);
      turn.books.add(book);
      this.#check(turn, book, 0);
    });
  }

  #wait(turn: Turn, ms: Millis, run: () => void): void {
    turn.cancel = this.#timers.after(ms, run);
  }

  #check(turn: Turn, book: CheckedBook, differed: number): void {
    book.collect();
    this.#wait(turn, BEFORE_MS, () => {
      void book.fetchRest().then((rest) => {
        if (this.#turns.get(book.exchange) !== turn) return;
        // Neither a venue that can't be asked nor a spent budget says anything about the book.
        if (rest instanceof AppError || !turn.books.has(book)) this.#next(turn);
        else
          this.#wait(turn, AFTER_MS, () => {
            this.#judge(turn, book, { differed, same: book.compare(rest.item) });
          });
      });
    });
  }

  #judge(
    turn: Turn,
    book: CheckedBook,
    { differed, same }: { readonly differed: number; readonly same: boolean | undefined },
  ): void {
    if (!turn.books.has(book) || same !== false) {
      this.#next(turn);
      return;
    }
    if (differed === 0) {
      this.#check(turn, book, 1);
      return;
    }
    this.#next(turn);
    book.renew();
  }
}

export interface BookSides {
  readonly bids: readonly PriceLevel[];
  readonly asks: readonly PriceLevel[];
}

/** Levels a side that are compared. */
const DEPTH = 10;
/** REST books of some venues round amounts. */
const AMOUNT_TOLERANCE = 0.01;

const sameAmount = (a: number, b: number): boolean => Math.abs(a - b) <= AMOUNT_TOLERANCE * Math.max(a, b);

const amounts = (side: readonly PriceLevel[]): Map<number, number> =>
  new Map(side.map(({ price, amount }) => [price, amount]));

/** `sign`: 1 where lower prices are better (asks), -1 where higher ones are. */
const differingOnSide = (
  rest: readonly PriceLevel[],
  live: readonly (readonly PriceLevel[])[],
  { sign, liveDepth }: { readonly sign: 1 | -1; readonly liveDepth: number },
): number => {
  const top = rest.slice(0, DEPTH);
  const full = top.length === DEPTH;
  // Beyond the worst price of a full list there may be levels that it does not show.
  const reaches = live.filter((side) => side.length >= liveDepth).map((side) => side.at(-1)?.price ?? 0);
  const limits = full ? [...reaches, top.at(-1)?.price ?? 0] : reaches;
  const isSeen = (price: number): boolean => limits.every((limit) => (limit - price) * sign >= 0);
  const restAmounts = amounts(rest);
  const liveAmounts = live.map(amounts);
  const prices = new Set([...top, ...live.flat()].map(({ price }) => price));
  let differing = 0;
  let rank = 0;
  for (const price of [...prices].filter(isSeen).sort((a, b) => (a - b) * sign)) {
    const shown = restAmounts.get(price) ?? 0;
    const held = liveAmounts.map((side) => side.get(price) ?? 0);
    const amount = held[0] ?? 0;
    // What changed meanwhile proves nothing.
    const stable = held.every((other) => other === amount);
    if (stable && (shown === 0) !== (amount === 0))
      // One level too many or too few shifts all that are behind it.
      return differing + Math.max(1, top.length - rank);
    if (stable && !sameAmount(shown, amount)) differing += 1;
    if (shown > 0) rank += 1;
  }
  return differing;
};

/**
 * How many of the ten best levels a side differ for certain: those that all of the `live` books agree on, and REST does
 * not. `liveDepth`: levels a side at which live books are cut.
 */
export const differingLevels = (rest: BookSides, live: readonly BookSides[], liveDepth: number): number => {
  if (live.length === 0) return 0;
  const side = (key: 'bids' | 'asks', sign: 1 | -1): number =>
    differingOnSide(
      rest[key],
      live.map((book) => book[key]),
      { sign, liveDepth },
    );
  return side('bids', -1) + side('asks', 1);
};

/** So many failures within the window are one too many. */
const MAX_FAILURES = 3;
const FAILURE_WINDOW_MS: Millis = 60_000;
const POLLED_BASE_MS: Millis = 60_000;
const POLLED_MAX_MS: Millis = 15 * 60_000;
/** A book that was right for so long has begun anew. */
const FORGIVEN_AFTER_MS: Millis = 10 * 60_000;

/**
 * How often a live order book may be found wrong before it is polled instead. Each new subscription costs the exchange a
 * snapshot: a book that fails again and again is tried ever more rarely.
 */
export class BookResyncs {
  readonly #random: () => number;
  /** Of failures within the window. */
  #times: Millis[] = [];
  /** How often the book was given up for polling. */
  #givenUp = 0;

  /** `random`: 0 (inclusive) to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * A failure at `now`: how long to poll before the live book is tried again; null where it may be subscribed anew at
   * once. After it was given up once, each failure gives it up, until it was right for ten minutes.
   */
  failed(now: Millis): Millis | null {
    const last = this.#times.at(-1);
    if (last !== undefined && now - last >= FORGIVEN_AFTER_MS) this.#givenUp = 0;
    this.#times = [...this.#times.filter((time) => now - time < FORGIVEN_AFTER_MS), now].slice(-MAX_FAILURES);
    const recent = this.#times.filter((time) => now - time < FAILURE_WINDOW_MS).length;
    if (recent < MAX_FAILURES && this.#givenUp === 0) return null;
    const ceiling = Math.min(POLLED_MAX_MS, POLLED_BASE_MS * 2 ** Math.min(this.#givenUp, 8));
    this.#givenUp += 1;
    return ceiling / 2 + (this.#random() * ceiling) / 2;
  }
}
