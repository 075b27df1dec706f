// Pages of one-minute candles as an exchange's client hands them over, already parsed; the same ones in every run.
const MINUTE = 60_000;
export const PAGE = 1000;
export const FROM = Date.UTC(2024, 0, 1);

const cents = (value) => Math.round(value * 100) / 100;

const candle = (index) => {
  const close = cents(42_000 + 900 * Math.sin(index / 700) + 35 * Math.sin(index * 1.7));
  const open = cents(42_000 + 900 * Math.sin((index - 1) / 700) + 35 * Math.sin((index - 1) * 1.7));
  return {
    timestamp: FROM + index * MINUTE,
    open,
    high: cents(Math.max(open, close) + 3.11),
    low: cents(Math.min(open, close) - 2.87),
    close,
    volume: Math.round((5 + 4 * Math.sin(index / 13)) * 1e5) / 1e5,
  };
};

/** Rows of one page; pages follow each other without a hole. */
export const rowsOfPage = (page) => Array.from({ length: PAGE }, (_, index) => candle(page * PAGE + index));
