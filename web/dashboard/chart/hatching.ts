/** Hatched bands over the stretches without candles: dense where something is missing, light where nothing was traded. */
import type {
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesPrimitive,
  SeriesAttachedParameter,
  Time,
} from 'lightweight-charts';
import type { Hole } from './candles.js';

/** Between two lines, in CSS pixels. */
const SPACING = { dense: 6, light: 14 } as const;

type Target = Parameters<IPrimitivePaneRenderer['draw']>[0];

export class Hatching implements ISeriesPrimitive {
  #chart: SeriesAttachedParameter['chart'] | null = null;
  #requestUpdate: () => void = () => undefined;
  #holes: readonly Hole[] = [];
  #colour = '#888';
  readonly #views: readonly IPrimitivePaneView[];

  constructor() {
    const renderer: IPrimitivePaneRenderer = { draw: (target) => this.#draw(target) };
    this.#views = [{ zOrder: () => 'bottom', renderer: () => renderer }];
  }

  attached({ chart, requestUpdate }: SeriesAttachedParameter): void {
    this.#chart = chart;
    this.#requestUpdate = requestUpdate;
  }

  detached(): void {
    this.#chart = null;
  }

  show(holes: readonly Hole[], colour: string): void {
    this.#holes = holes;
    this.#colour = colour;
    this.#requestUpdate();
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.#views;
  }

  #draw(target: Target): void {
    const scale = this.#chart?.timeScale();
    if (scale === undefined) return;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio }) => {
      context.save();
      context.strokeStyle = this.#colour;
      context.lineWidth = Math.max(1, Math.floor(ratio));
      const half = scale.options().barSpacing / 2;
      for (const { from, to, reason } of this.#holes) {
        const left = scale.timeToCoordinate((from / 1000) as Time);
        // The bar that follows the hole; a hole is drawn up to where it begins.
        const right = scale.timeToCoordinate((to / 1000) as Time);
        if (left === null || right === null) continue;
        const begin = (left - half) * ratio;
        const width = (right - left) * ratio;
        if (begin > bitmapSize.width || begin + width < 0) continue;
        const spacing = (reason === 'no_trades' ? SPACING.light : SPACING.dense) * ratio;
        context.save();
        context.beginPath();
        context.rect(begin, 0, width, bitmapSize.height);
        context.clip();
        context.beginPath();
        for (let x = begin - bitmapSize.height; x < begin + width; x += spacing) {
          context.moveTo(x, bitmapSize.height);
          context.lineTo(x + bitmapSize.height, 0);
        }
        context.stroke();
        context.restore();
      }
      context.restore();
    });
  }
}
