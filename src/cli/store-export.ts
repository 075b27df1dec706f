/** `store export`: settled candles of a series as a file. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { csvOf } from '../ledger/export/csv.js';
import type { ExportPlan } from '../ledger/export/export-plan.js';
import type { StoredCandle } from '../ledger/settle.js';
import { StoreError } from '../ledger/store-error.js';
import { EXIT } from '../lib/exit-codes.js';
import { exportQuery } from '../schemas/query.js';
import { UsageError, type CommandInput } from './command.js';
import { readSeries } from './series-arguments.js';
import { withStore } from './store-session.js';

/** Written under a temporary name and renamed when it is complete. */
const writeFile = async (
  file: string,
  content: AsyncIterable<string | Uint8Array>,
  signal: AbortSignal,
): Promise<void> => {
  const part = `${file}.part`;
  try {
    await pipeline(Readable.from(content, { objectMode: false }), createWriteStream(part), { signal });
    await rename(part, file);
  } catch (thrown) {
    await rm(part, { force: true });
    throw new StoreError('unavailable', `The file can not be written: ${String(thrown)}`);
  }
};

export const exportCandles = ({ program, ...input }: CommandInput): Promise<number> => {
  const {
    exchange: called,
    symbol,
    interval,
    from,
    to,
    format,
  } = readSeries(exportQuery, input, {
    ...{ skip: 1, more: ['format'] },
  });
  const file = input.values['out'];
  if (typeof file !== 'string' || file === '') throw new UsageError('--out is missing.');
  return withStore(program, { interrupted: 'Ended before it was done.' }, async (session) => {
    const { services, ledger, signal, print } = session;
    const { exchange } = services.names.resolveKnown(called);
    const plan = await ledger.exporting({ exchange, symbol, interval }, { from, to });
    let candles = 0;
    const counted = async function* (): AsyncGenerator<readonly StoredCandle[]> {
      for await (const page of plan.pages()) {
        candles += page.length;
        yield page;
      }
    };
    const { parquetOf } = await import('../ledger/export/parquet.js');
    const whole: ExportPlan = { ...plan, pages: counted };
    const content = format === 'csv' ? csvOf(counted()) : parquetOf(whole, exchange);
    await writeFile(file, content, signal);
    await print(`${exchange} ${plan.name.symbol} ${interval}: ${candles} candles in ${file}`);
    for (const gap of plan.gaps) {
      const range = [gap.from, gap.to].map((at) => new Date(at).toISOString());
      await print(`no candles from ${range.join(' to ')}: ${gap.reason}`);
    }
    return EXIT.ok;
  });
};
