/** Candles as a Parquet file, written as it is read: no more than a row group is held. */
import { ByteWriter, ParquetWriter, type ColumnSource, type SchemaElement } from 'hyparquet-writer';
import type { ExportPlan } from './export-plan.js';
import type { StoredCandle } from '../settle.js';

const ROW_GROUP = 20_000;

const number = (name: string): SchemaElement => ({ name, type: 'DOUBLE', repetition_type: 'OPTIONAL' });
const FIGURES = ['open', 'high', 'low', 'close', 'volume'] as const;
const SCHEMA: SchemaElement[] = [
  { name: 'root', num_children: 7 },
  { name: 'timestamp', type: 'INT64', converted_type: 'TIMESTAMP_MILLIS', repetition_type: 'REQUIRED' },
  ...FIGURES.map(number),
  { name: 'closed', type: 'BOOLEAN', repetition_type: 'REQUIRED' },
];

const columnsOf = (rows: readonly StoredCandle[]): ColumnSource[] => [
  { name: 'timestamp', data: rows.map(({ timestamp }) => new Date(timestamp)) },
  ...FIGURES.map((figure) => ({ name: figure, data: rows.map((row) => row[figure]) })),
  { name: 'closed', data: rows.map(() => true) },
];

/** What has been written since it was last taken. */
const taken = (writer: ByteWriter): Uint8Array => {
  const bytes = writer.getBytes().slice();
  // Offsets within the file go on counting; the buffer begins anew.
  writer.index = 0;
  return bytes;
};

/** The footer holds the candles' source and the gaps. */
export async function* parquetOf(plan: ExportPlan, exchange: string): AsyncGenerator<Uint8Array> {
  const { name, span, gaps } = plan;
  const writer = new ByteWriter();
  const about = {
    exchange,
    symbol: name.symbol,
    interval: name.interval,
    from: span.from,
    to: span.to,
    gaps,
  };
  const file = new ParquetWriter({
    writer,
    schema: SCHEMA,
    codec: 'SNAPPY',
    createdBy: 'mcp-crypto-data-server',
    kvMetadata: Object.entries(about).map(([key, value]) => ({
      key,
      value: typeof value === 'string' ? value : JSON.stringify(value),
    })),
  });
  let rows: StoredCandle[] = [];
  const group = async (): Promise<Uint8Array> => {
    await file.write({ columnData: columnsOf(rows), rowGroupSize: ROW_GROUP });
    rows = [];
    return taken(writer);
  };
  for await (const page of plan.pages()) {
    rows.push(...page);
    if (rows.length >= ROW_GROUP) yield await group();
  }
  if (rows.length > 0) yield await group();
  await file.finish();
  yield taken(writer);
}
