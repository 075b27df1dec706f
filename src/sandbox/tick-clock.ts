// Decides when each market ticks. It runs only while somebody subscribes: an idle sandbox costs nothing.
import { mix, unit } from './hash.js';
import { SECOND, type Millis } from './intervals.js';
import { type Market } from './listings.js';

/** How often due markets are looked for: at once, nearly, while they are few; many would make that dear. */
const FINE_STEP: Millis = 1;
const STEP: Millis = 10;
const FEW_MARKETS = 20;
/**
 * Of thousands that tick seldom, bursts leave, as they do at a real venue: Binance sends the tickers of all markets together
 * once a second.
 */
const COARSE_STEP: Millis = 100;
const MANY_MARKETS = 1_000;
const SELDOM_PER_SECOND = 1;
const MAX_TICKS_PER_SECOND = 100;

export interface TickClock {
  /** Starts the ticks of a market; `onTick` gets the time of the tick, which is a pure function of rate and market. */
  readonly start: (market: Market, onTick: (time: Millis) => void) => void;
  readonly stop: (market: Market) => void;
  /** Ticks a second, for one market or (undefined) for all that have no rate of their own; 0 stands still. */
  readonly setRate: (market: Market | undefined, perSecond: number) => void;
  readonly close: () => void;
}

interface Ticking {
  readonly market: Market;
  readonly onTick: (time: Millis) => void;
  last: Millis;
  /** No tick is due before. */
  next: Millis;
}

export interface TickClockOptions {
  /** The sandbox's clock; ticks that it skips over are left out, not made up for. */
  readonly now: () => Millis;
  readonly perSecond: number;
  /** All markets tick at the same instants, in one burst, instead of spread over the period. */
  readonly inStep?: boolean;
}

export function createTickClock(options: TickClockOptions): TickClock {
  const ticking = new Map<Market, Ticking>();
  const rates = new Map<Market, number>();
  let common = options.perSecond;
  let timer: NodeJS.Timeout | undefined;
  let step: Millis = 0;

  /** The times of the latest tick that is due at `now` and of the next; ticks of markets are spread, unless in step. */
  const due = (market: Market, now: Millis): { latest: Millis; next: Millis } => {
    const rate = rates.get(market) ?? common;
    if (rate <= 0) return { latest: -Infinity, next: Infinity };
    const period = SECOND / rate;
    const phase = options.inStep === true ? 0 : period * unit(mix(market.key, 71));
    const count = Math.floor((now - phase) / period);
    return {
      latest: Math.floor(count * period + phase),
      next: Math.floor((count + 1) * period + phase),
    };
  };

  const run = (): void => {
    const now = options.now();
    for (const entry of ticking.values()) {
      if (now < entry.next) continue;
      const { latest, next } = due(entry.market, now);
      entry.next = next;
      if (latest <= entry.last) continue;
      entry.last = latest;
      entry.onTick(latest);
    }
  };

  const fittingStep = (): Millis => {
    if (ticking.size <= FEW_MARKETS) return FINE_STEP;
    if (ticking.size <= MANY_MARKETS) return STEP;
    return [common, ...rates.values()].every((rate) => rate <= SELDOM_PER_SECOND) ? COARSE_STEP : STEP;
  };

  /** Keeps the timer that fits the number of ticking markets; none where there is none. */
  const adjust = (): void => {
    const fitting = fittingStep();
    if (timer !== undefined && ticking.size > 0 && fitting === step) return;
    clearInterval(timer);
    step = fitting;
    timer = ticking.size === 0 ? undefined : setInterval(run, step).unref();
  };

  return {
    start: (market, onTick) => {
      ticking.set(market, { market, onTick, last: options.now(), next: 0 });
      adjust();
    },
    stop: (market) => {
      ticking.delete(market);
      adjust();
    },
    setRate: (market, perSecond) => {
      const rate = Math.min(perSecond, MAX_TICKS_PER_SECOND);
      if (market) rates.set(market, rate);
      else {
        common = rate;
        rates.clear();
      }
      for (const entry of ticking.values()) entry.next = 0;
      adjust();
    },
    close: () => {
      clearInterval(timer);
      timer = undefined;
      ticking.clear();
    },
  };
}
