/** `store info`, `store check` and `store vacuum`. */
import { checkStore } from '../ledger/store-check.js';
import { StoreError } from '../ledger/store-error.js';
import type { SeriesInfo } from '../ledger/store.js';
import { EXIT } from '../lib/exit-codes.js';
import type { CommandInput } from './command.js';
import { table } from './output.js';
import { withStore, type StoreSession } from './store-session.js';

const interrupted = 'Ended before it was done.';

const HEAD = ['exchange', 'symbol', 'interval', 'generation', 'candles', 'first', 'last'];
const instant = (at: number | null): string => (at === null ? '-' : new Date(at).toISOString());
const cellsOf = (series: SeriesInfo): string[] => {
  const { exchange, symbol, interval, generation, candles, first, last } = series;
  return [exchange, symbol, interval, String(generation), String(candles), instant(first), instant(last)];
};

const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

export const info = ({ program }: CommandInput): Promise<number> =>
  withStore(program, { interrupted }, async ({ store, handle, print }) => {
    const series = await store.allSeries();
    const { candles, bytes, walBytes } = await store.totals();
    await print(`${handle.file ?? 'PostgreSQL'}: ${handle.status().detail}`);
    await print(`${series.length} series, ${candles} candles, ${megabytes(bytes + walBytes)}`);
    if (series.length > 0) await print(table([HEAD, ...series.map(cellsOf)]));
    return EXIT.ok;
  });

export const check = ({ program }: CommandInput): Promise<number> =>
  withStore(program, { interrupted }, async ({ store, handle, print }) => {
    const { state, detail } = handle.status();
    const faults = [...(state === 'ok' ? [] : [detail]), ...(await checkStore(store))];
    for (const fault of faults) await print(fault);
    if (faults.length === 0) await print('The store is sound.');
    return faults.length === 0 ? EXIT.ok : EXIT.failed;
  });

/** Rejects where another process owns the file or the file cannot be written. */
export const requireWritable = ({ handle }: StoreSession): void => {
  const { writable, detail } = handle.status();
  if (!writable) throw new StoreError('read_only', detail);
};

export const vacuum = ({ program }: CommandInput): Promise<number> =>
  withStore(program, { interrupted }, async (session) => {
    requireWritable(session);
    const { store, print } = session;
    const before = await store.totals();
    await store.vacuum();
    const after = await store.totals();
    await print(
      `${megabytes(before.bytes + before.walBytes)} before, ${megabytes(after.bytes + after.walBytes)} now`,
    );
    return EXIT.ok;
  });
