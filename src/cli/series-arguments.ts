/** Which series and which range a command is about: `<exchange> <symbol>` or `--exchange --symbol`, and the other options. */
import type { z } from 'zod';
import { UsageError, type CommandInput } from './command.js';

/** What readSeries reads. */
export const SERIES_OPTIONS = {
  exchange: { type: 'string' },
  symbol: { type: 'string' },
  interval: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
} as const;

export const SERIES_HELP = `  --exchange NAME   exchange; or the first argument
  --symbol SYMBOL   symbol, for example BTC/USDT; or the second argument
  --interval TEXT   1m, 1h, 1d, …
  --from TIME       milliseconds since the epoch or ISO 8601; a plain date is midnight UTC
  --to TIME         end of the range, not in it`;

const POSITIONALS = ['exchange', 'symbol'] as const;

/**
 * What the schema makes of the options and of the arguments behind the first `skip`.
 * @throws UsageError that names each option which is missing, given twice or no value of its kind
 */
export const readSeries = <T>(
  schema: z.ZodType<T>,
  { values, positionals }: Pick<CommandInput, 'values' | 'positionals'>,
  { skip = 0, more = [] }: { readonly skip?: number; readonly more?: readonly string[] } = {},
): T => {
  const given: Record<string, unknown> = {};
  for (const name of [...Object.keys(SERIES_OPTIONS), ...more])
    if (values[name] !== undefined) given[name] = values[name];
  const rest = positionals.slice(skip);
  const extra = rest[POSITIONALS.length];
  if (extra !== undefined) throw new UsageError(`Unexpected argument '${extra}'.`);
  for (const [index, name] of POSITIONALS.entries()) {
    const value = rest[index];
    if (value === undefined) continue;
    if (given[name] !== undefined) throw new UsageError(`The ${name} is given twice.`);
    given[name] = value;
  }
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => {
    const name = path.join('.');
    return given[name] === undefined ? `--${name} is missing.` : `--${name}: ${message}.`;
  });
  throw new UsageError(faults.join('\n'));
};
