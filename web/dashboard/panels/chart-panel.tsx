/** The chart of the selected market with what it says in words: the candle at hand, the open one, gaps. */
import { effect, signal, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { CandleChart, Colours } from '../chart/chart.js';
import { isPriced, REASONS, type Hole, type Place, type Priced } from '../chart/candles.js';
import { createSeries, type Series } from '../chart/series.js';
import { followSelected } from '../state/feeds.js';
import { dependOn } from '../state/frame.js';
import { formatIso, formatLeft, formatNumber } from '../state/format.js';
import { findMarket, stepsOf } from '../state/markets.js';
import { endOfPeriod } from '../state/periods.js';
import { intervals, selectInterval, selection, selectionFault } from '../state/selection.js';
import { access, describe, serverTime, standIn } from '../state/server.js';
import { palette, theme } from '../state/settings.js';
import { tick } from '../state/visibility.js';
import { formatAddress, type Selection } from '../state/address.js';
import { Age, FeedWord } from './feed-word.js';

const coloursNow = (): Colours => {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return { text: of('text'), grid: of('line'), up: of('up'), down: of('down'), hatch: of('hatch') };
};

const isDark = matchMedia('(prefers-color-scheme: dark)');
const systemTheme = signal(isDark.matches);
isDark.addEventListener('change', () => (systemTheme.value = isDark.matches));

const Values = ({ candle, market }: { readonly candle: Priced; readonly market: Selection }) => {
  const { price, amount } = stepsOf(market);
  const { timestamp, open, high, low, close, volume } = candle;
  return (
    <span class="values">
      {`${formatIso(timestamp)} open ${formatNumber(open, price)} high ${formatNumber(high, price)} low ${formatNumber(low, price)} close ${formatNumber(close, price)} volume ${formatNumber(volume, amount)}`}
    </span>
  );
};

/** `open, 23 s left`, by the server's clock. */
const OpenCandle = ({ series }: { readonly series: Series }) => {
  dependOn(tick);
  const last = series.candles.value.at(-1);
  if (last === undefined || last.closed) return null;
  const left = endOfPeriod(last.timestamp, series.market.interval) - serverTime();
  return <span class="open-candle">{`open, ${formatLeft(left)} left`}</span>;
};

const SHOWN_HOLES = 50;
const GapList = ({ holes }: { readonly holes: readonly Hole[] }) => {
  if (holes.length === 0) return null;
  return (
    <ul class="gaps" aria-label="Gaps">
      {holes.slice(-SHOWN_HOLES).map(({ from, to, reason }) => (
        <li key={`${from} ${reason}`}>{`gap ${formatIso(from)} – ${formatIso(to)}: ${REASONS[reason]}`}</li>
      ))}
    </ul>
  );
};

const Intervals = () => (
  <div class="intervals" role="group" aria-label="Interval">
    {intervals.value.map((interval) => (
      <button
        type="button"
        aria-pressed={selection.value?.interval === interval}
        onClick={() => selectInterval(interval)}
      >
        {interval}
      </button>
    ))}
  </div>
);

const KEYS: Readonly<Record<string, number | 'first' | 'last'>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -10,
  PageDown: 10,
  Home: 'first',
  End: 'last',
};

/** The canvas is for eyes: the same is text beside it, and a cursor moves by keys and tells where it is. */
const Canvas = ({ series }: { readonly series: Series }) => {
  const container = useRef<HTMLDivElement>(null);
  const chart = useSignal<CandleChart | null>(null);
  const pointed = useSignal<Priced | null>(null);
  const spoken = useSignal('');
  const fault = useSignal<string | null>(null);
  useEffect(() => {
    let isOver = false;
    const begin = async (): Promise<void> => {
      const [{ CandleChart: Chart }, market] = await Promise.all([
        import('../chart/chart.js'),
        findMarket(series.market).catch(() => null),
      ]);
      if (isOver || container.current === null) return;
      const step = market?.price_step ?? 0.01;
      chart.value = new Chart(container.current, {
        decimals: formatNumber(step).split('.')[1]?.length ?? 0,
        colours: coloursNow(),
        onPoint: (candle) => (pointed.value = candle),
        onOldest: () => series.older(),
      });
    };
    begin().catch((error: unknown) => (fault.value = describe(error)));
    return () => {
      isOver = true;
      chart.peek()?.remove();
    };
  }, []);
  const drawn = useRef<readonly Place[]>([]);
  const draw = (): void => {
    const places = series.places.value;
    const target = chart.value;
    const last = places.at(-1);
    if (target === null || last === undefined) return;
    if (differInLastOnly(drawn.current, places)) target.update(last);
    else target.show(places, series.holes.peek());
    drawn.current = places;
  };
  const recolour = (): void => {
    dependOn(theme, palette, systemTheme);
    chart.value?.recolour(coloursNow());
  };
  // useSignalEffect would come after the next frame, and the chart's own drawing in one more.
  useEffect(() => effect(draw), []);
  useEffect(() => effect(recolour), []);
  const onKey = (event: KeyboardEvent): void => {
    const by = KEYS[event.key];
    if (by === undefined || chart.peek() === null) return;
    event.preventDefault();
    const place = chart.peek()?.moveCursor(by) ?? null;
    if (place === null) return;
    pointed.value = place.candle;
    spoken.value =
      place.candle === null
        ? `gap at ${formatIso(place.timestamp)}`
        : `${formatIso(place.timestamp)} close ${place.candle.close}`;
  };
  const shown = pointed.value ?? series.candles.value.findLast(isPriced);
  return (
    <>
      <p class="legend">{shown !== undefined && <Values candle={shown} market={series.market} />}</p>
      {fault.value !== null && <p class="empty fault">{fault}</p>}
      <div
        ref={container}
        class="canvas"
        role="application"
        tabIndex={0}
        aria-label="Candles: arrow keys move from one to the next"
        onKeyDown={onKey}
      />
      <p class="hidden" aria-live="polite">
        {spoken}
      </p>
    </>
  );
};

const same = (one: Place | undefined, other: Place | undefined): boolean =>
  one?.timestamp === other?.timestamp && one?.candle === other?.candle;

/** The usual change: all else needs to be drawn anew. */
const differInLastOnly = (before: readonly Place[], now: readonly Place[]): boolean =>
  before.length > 0 &&
  before.length === now.length &&
  before.every((place, index) => index === now.length - 1 || same(place, now[index]));

const Chart = ({ market }: { readonly market: Selection }) => {
  const series = useMemo(() => createSeries(market), []);
  // Another market is told here before this chart gives way to its own: nothing more is asked for the one that is left.
  useEffect(
    () =>
      followSelected('Chart', (now) =>
        formatAddress(now) === formatAddress(market) ? series.follow() : () => undefined,
      ),
    [],
  );
  const count = series.candles.value.filter(isPriced).length;
  const holes = series.holes.value;
  return (
    <>
      <p class="facts">
        <Age timestamp={series.heardAt} /> <FeedWord feed={series.feed} />{' '}
        <span data-candles={count}>{`${count} candles`}</span>
        {holes.length > 0 && `, ${holes.length} ${holes.length === 1 ? 'gap' : 'gaps'}`}{' '}
        <OpenCandle series={series} />
        {standIn.value !== '' && <span class="word">{standIn}</span>}
        {series.isLoading.value && ' …'}
      </p>
      {series.fault.value !== null && <p class="empty fault">{series.fault}</p>}
      <Canvas series={series} />
      <GapList holes={holes} />
    </>
  );
};

export const ChartPanel = () => {
  const market = selection.value;
  return (
    <section class="panel chart" aria-label="Chart">
      <h2>{market === null ? 'Chart' : `${market.symbol} · ${market.exchange} · ${market.interval}`}</h2>
      {market !== null && <Intervals />}
      {selectionFault.value !== null && <p class="empty fault">{selectionFault}</p>}
      {market === null ? (
        <p class="empty">No market is selected.</p>
      ) : (
        selectionFault.value === null && access.value === 'open' && <Chart market={market} />
      )}
      <p class="notice">
        Chart by{' '}
        <a href="https://www.tradingview.com/" rel="noopener noreferrer">
          TradingView
        </a>{' '}
        Lightweight Charts™, Copyright (c) 2023 TradingView, Inc.
      </p>
    </section>
  );
};
