/** Numbers and times as the page shows them. */

/** A price or amount without exponent and without rounding: as many decimals as it has. */
const plain = (value: number): string => {
  const text = String(Math.abs(value));
  const [digits = '', exponent] = text.split('e-');
  if (exponent === undefined)
    return text.includes('e') ? value.toLocaleString('en', { useGrouping: false }) : text;
  const mantissa = digits.replace('.', '');
  const integers = digits.split('.')[0]?.length ?? 1;
  return `0.${'0'.repeat(Number(exponent) - integers)}${mantissa}`;
};

/** Decimals that a number has when it is written without an exponent. */
export const decimalsOf = (value: number): number => plain(value).split('.')[1]?.length ?? 0;

/**
 * With `.` before the decimals and `,` between groups: with the decimals of the market's `step`, and more where the value
 * has more, for nothing is rounded. null: unknown, shown as a dash.
 */
export const formatNumber = (value: number | null | undefined, step: number | null = null): string => {
  if (value === null || value === undefined) return '–';
  const [integers = '0', decimals = ''] = plain(value).split('.');
  const padded = decimals.padEnd(step === null ? 0 : decimalsOf(step), '0');
  const grouped = integers.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return `${value < 0 ? '-' : ''}${grouped}${padded === '' ? '' : `.${padded}`}`;
};

/** `+0.52 %`; null: a dash. */
export const formatPercent = (value: number | null): string =>
  value === null || !Number.isFinite(value) ? '–' : `${value > 0 ? '+' : ''}${value.toFixed(2)} %`;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** An age or a duration of `ms`: `1.2 s`, `4 min`, `3.5 h`. null: a dash. */
export const formatAge = (ms: number | null): string => {
  if (ms === null) return '–';
  const age = Math.max(0, ms);
  if (age < 2 * MINUTE) return `${(age / SECOND).toFixed(1)} s`;
  if (age < 2 * HOUR) return `${Math.floor(age / MINUTE)} min`;
  return `${(age / HOUR).toFixed(1)} h`;
};

/** `23 s`, `4 min 10 s`, `3 h 20 min`: what is left of something. */
export const formatLeft = (ms: number): string => {
  const left = Math.max(0, Math.ceil(ms / SECOND));
  if (left < 100) return `${left} s`;
  const minutes = Math.floor(left / 60);
  if (minutes < 100) return `${minutes} min ${left % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

/** `2026-11-27T09:00:00Z`. */
export const formatIso = (timestamp: number): string =>
  new Date(timestamp).toISOString().replace('.000Z', 'Z');

/** `09:00:00.123`, UTC. */
export const formatTime = (timestamp: number): string => new Date(timestamp).toISOString().slice(11, 23);

/** Of ask over bid, in hundredths of a percent of the middle. */
export const spreadOf = (bid: number | null, ask: number | null): number | null =>
  bid === null || ask === null || bid + ask === 0 ? null : ((ask - bid) / ((ask + bid) / 2)) * 10_000;
