/** A small line chart as SVG text: one panel, logarithmic x axis, linear y axis from zero. */

export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 420;
const HEIGHT = 260;
const MARGIN = { left: 64, right: 20, top: 34, bottom: 44 };

const escape = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

const tick = (value: number): string =>
  value >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString();

const panel = ({ title, xLabel, yLabel, points }: Panel, offset: number): string => {
  const xs = points.map(([x]) => Math.log10(x));
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const top = Math.max(...points.map(([, y]) => y)) * 1.1 || 1;
  const x = (value: number): number =>
    MARGIN.left + ((Math.log10(value) - low) / (high - low || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number): number =>
    HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const path = points
    .map(([a, b], i) => `${i === 0 ? 'M' : 'L'}${x(a).toFixed(1)},${y(b).toFixed(1)}`)
    .join('');
  const dots = points
    .map(([a, b]) => `<circle cx="${x(a).toFixed(1)}" cy="${y(b).toFixed(1)}" r="3"/>`)
    .join('');
  const xTicks = points
    .map(
      ([a]) =>
        `<text x="${x(a).toFixed(1)}" y="${HEIGHT - 26}" text-anchor="middle">${a.toLocaleString('en')}</text>`,
    )
    .join('');
  const yTicks = [0, 0.25, 0.5, 0.75, 1]
    .map((part) => {
      const at = y(part * top).toFixed(1);
      return (
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}" class="grid"/>` +
        `<text x="${MARGIN.left - 6}" y="${at}" dy="4" text-anchor="end">${tick(part * top)}</text>`
      );
    })
    .join('');
  return (
    `<g transform="translate(${offset % 2 === 0 ? 0 : WIDTH},${Math.floor(offset / 2) * HEIGHT})">` +
    `<text x="${WIDTH / 2}" y="18" text-anchor="middle" class="title">${escape(title)}</text>${yTicks}${xTicks}` +
    `<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escape(xLabel)}</text>` +
    `<text transform="translate(14,${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${escape(yLabel)}</text>` +
    `<path d="${path}" class="line"/>${dots}</g>`
  );
};

/** Panels two in a row. */
export const chart = (panels: readonly Panel[]): string => {
  const rows = Math.ceil(panels.length / 2);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * 2} ${rows * HEIGHT}" font-family="sans-serif" font-size="11">` +
    '<style>.grid{stroke:#ddd}.line{fill:none;stroke:#1f6feb;stroke-width:2}circle{fill:#1f6feb}.title{font-size:13px;font-weight:bold}</style>' +
    `<rect width="100%" height="100%" fill="#fff"/>${panels.map(panel).join('')}</svg>\n`
  );
};
