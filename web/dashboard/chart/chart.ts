/** The candle chart. Loaded when the first market is shown: the library is most of what the page weighs. */
import {
  CandlestickSeries,
  createChart,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type Time,
  type UTCTimestamp,
} from 'lightweight-charts';
import { Hatching } from './hatching.js';
import type { Hole, Place, Priced } from './candles.js';

export interface Colours {
  readonly text: string;
  readonly grid: string;
  readonly up: string;
  readonly down: string;
  readonly hatch: string;
}

export interface ChartOptions {
  /** Decimals of the price axis. */
  readonly decimals: number;
  readonly colours: Colours;
  /** The candle under the pointer or the cursor; null: none. */
  readonly onPoint: (candle: Priced | null) => void;
  /** The oldest candles are in sight: older ones are wanted. */
  readonly onOldest: () => void;
}

const VOLUME_SCALE = 'volume';
/** Older candles are asked for when fewer places than this are left of what is seen. */
const NEAR_OLDEST = 20;

const timeOf = (timestamp: number): UTCTimestamp => (timestamp / 1000) as UTCTimestamp;

export class CandleChart {
  readonly #chart: IChartApi;
  readonly #candles: ISeriesApi<'Candlestick'>;
  readonly #volume: ISeriesApi<'Histogram'>;
  readonly #hatching = new Hatching();
  #colours: Colours;
  #places: readonly Place[] = [];
  #holes: readonly Hole[] = [];
  #cursor: number | null = null;

  constructor(container: HTMLElement, { decimals, colours, onPoint, onOldest }: ChartOptions) {
    this.#colours = colours;
    this.#chart = createChart(container, {
      autoSize: true,
      // Its logo brings a <style> and innerHTML, which the page's policy forbids; the notice is text of the page.
      layout: { attributionLogo: false, background: { color: 'transparent' } },
      timeScale: { timeVisible: true, secondsVisible: false },
      // The page scrolls when a finger moves over the chart.
      handleScroll: { vertTouchDrag: false, mouseWheel: true },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, {
      priceFormat: { type: 'price', precision: decimals, minMove: 10 ** -decimals },
      borderVisible: true,
    });
    this.#candles.attachPrimitive(this.#hatching);
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: VOLUME_SCALE,
      priceFormat: { type: 'volume' },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.#chart.priceScale(VOLUME_SCALE).applyOptions({ scaleMargins: { top: 0.85, bottom: 0 } });
    this.#chart.subscribeCrosshairMove(({ time }) => {
      const place =
        time === undefined ? undefined : this.#places.find((each) => timeOf(each.timestamp) === time);
      onPoint(place?.candle ?? null);
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range !== null && range.from < NEAR_OLDEST && this.#places.length > 0) onOldest();
    });
    this.recolour(colours);
  }

  recolour(colours: Colours): void {
    this.#colours = colours;
    const { text, grid, up, down } = colours;
    this.#chart.applyOptions({
      layout: { textColor: text },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
      timeScale: { borderColor: grid },
      rightPriceScale: { borderColor: grid },
    });
    this.#candles.applyOptions({
      upColor: up,
      downColor: down,
      borderUpColor: up,
      borderDownColor: down,
      wickUpColor: up,
      wickDownColor: down,
    });
    if (this.#places.length > 0) this.show(this.#places, this.#holes);
  }

  /** All candles anew. What was in sight stays, however many older ones came in front. */
  show(places: readonly Place[], holes: readonly Hole[]): void {
    const scale = this.#chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const [first] = this.#places;
    const older = first === undefined ? 0 : places.findIndex(({ timestamp }) => timestamp >= first.timestamp);
    // Live candles may come before history does, which is then no growth at the old end.
    const grown = this.#places.length > NEAR_OLDEST && older > 0;
    this.#places = places;
    this.#holes = holes;
    this.#candles.setData(places.map((place) => this.#bar(place)));
    this.#volume.setData(places.map((place) => this.#volumeBar(place)));
    this.#hatching.show(holes, this.#colours.hatch);
    if (grown && range !== null)
      scale.setVisibleLogicalRange({ from: range.from + older, to: range.to + older });
  }

  /** The last candle, new or changed. */
  update(place: Place): void {
    const last = this.#places.at(-1);
    this.#places =
      last?.timestamp === place.timestamp ? [...this.#places.slice(0, -1), place] : [...this.#places, place];
    this.#candles.update(this.#bar(place));
    this.#volume.update(this.#volumeBar(place));
  }

  /** Moves the cursor by so many candles; `first`, `last`: to the ends. Returns what is there. */
  moveCursor(by: number | 'first' | 'last'): Place | null {
    const end = this.#places.length - 1;
    const from = this.#cursor ?? end + 1;
    this.#cursor = by === 'first' ? 0 : by === 'last' ? end : Math.min(end, Math.max(0, from + by));
    const place = this.#places[this.#cursor];
    if (place === undefined) return null;
    const scale = this.#chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    if (range !== null && (this.#cursor < range.from || this.#cursor > range.to)) {
      const half = (range.to - range.from) / 2;
      scale.setVisibleLogicalRange({ from: this.#cursor - half, to: this.#cursor + half });
    }
    if (place.candle === null) this.#chart.clearCrosshairPosition();
    else this.#chart.setCrosshairPosition(place.candle.close, timeOf(place.timestamp), this.#candles);
    return place;
  }

  remove(): void {
    this.#chart.remove();
  }

  /** A candle whose period has not ended is hollow. */
  #bar({ timestamp, candle }: Place) {
    const time: Time = timeOf(timestamp);
    if (candle === null) return { time };
    const { open, high, low, close, closed } = candle;
    return { time, open, high, low, close, ...(closed ? {} : { color: 'transparent' }) };
  }

  #volumeBar({ timestamp, candle }: Place) {
    const time: Time = timeOf(timestamp);
    if (candle?.volume === null || candle === null) return { time };
    const colour = candle.close >= candle.open ? this.#colours.up : this.#colours.down;
    return { time, value: candle.volume, color: `${colour}66` };
  }
}
