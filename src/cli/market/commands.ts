/** `ticker`, `ohlcv`, `book` and `status`: what the API answers, on a terminal. */
import { constants } from 'node:os';
import { ENDING_SIGNALS, type ProgramProcess } from '../../app/program-process.js';
import { EXIT } from '../../lib/exit-codes.js';
import { UsageError, type Command, type CommandInput } from '../command.js';
import { write } from '../output.js';
import { openServer, Refused, type MarketServer } from './server.js';
import { BOOK_FORM, bookLine, CANDLES_FORM, STATUS_FORM, TICKER_FORM, type Form } from './text.js';
import { watch } from './watch.js';

interface Kind {
  readonly path: string;
  readonly form: Form;
  /** Event type on /ws, and its channel. */
  readonly channel: 'ticker' | 'ohlcv' | 'orderbook' | 'health';
  /** Options beside the market's that it takes. */
  readonly takes: readonly ('interval' | 'limit')[];
  /** What an event is in lines; default: as an answer. */
  readonly lines?: (event: unknown) => string[];
}

const KINDS = {
  ticker: { path: 'v1/markets/ticker', form: TICKER_FORM, channel: 'ticker', takes: [] },
  ohlcv: { path: 'v1/markets/ohlcv', form: CANDLES_FORM, channel: 'ohlcv', takes: ['interval', 'limit'] },
  book: {
    ...{ path: 'v1/markets/orderbook', form: BOOK_FORM, channel: 'orderbook', takes: ['limit'] },
    lines: (event: unknown) => [bookLine(event)],
  },
  status: { path: 'v1/status', form: STATUS_FORM, channel: 'health', takes: [] },
} as const satisfies Readonly<Record<string, Kind>>;

const DEFAULT_INTERVAL = '1m';
/** Of `last` since the line before, on a terminal. */
const [RISEN, FALLEN, PLAIN] = ['\u001B[32m', '\u001B[31m', '\u001B[0m'];

interface Asked {
  readonly exchange: string | undefined;
  readonly symbol: string | undefined;
  readonly interval: string | undefined;
  readonly limit: string | undefined;
  readonly url: string | undefined;
  readonly json: boolean;
  readonly csv: boolean;
  readonly watch: boolean;
}

const textOf = (value: CommandInput['values'][string]): string | undefined =>
  typeof value === 'string' ? value : undefined;

const readAsked = (name: string, kind: Kind, { values, positionals }: CommandInput): Asked => {
  const ofMarket = kind.channel !== 'health';
  const [first, second, extra] = positionals;
  const superfluous = ofMarket ? extra : first;
  if (superfluous !== undefined) throw new UsageError(`Unexpected argument '${superfluous}'.`);
  const [exchange, symbol] = [textOf(values['exchange']), textOf(values['symbol'])];
  if (exchange !== undefined && first !== undefined) throw new UsageError('The exchange is given twice.');
  const market = {
    exchange: exchange ?? first,
    symbol: symbol ?? (exchange === undefined ? second : first),
  };
  if (ofMarket && market.exchange === undefined) throw new UsageError('--exchange is missing.');
  if (ofMarket && market.symbol === undefined) throw new UsageError('--symbol is missing.');
  for (const option of ['interval', 'limit'] as const)
    if (values[option] !== undefined && !kind.takes.includes(option))
      throw new UsageError(`${name} takes no --${option}.`);
  const [json, csv] = [values['json'] === true, values['csv'] === true];
  if (json && csv) throw new UsageError('--json and --csv exclude each other.');
  if (csv && kind.form.csvHead === null) throw new UsageError(`${name} has no CSV.`);
  return {
    ...(ofMarket ? market : { exchange: undefined, symbol: undefined }),
    interval: textOf(values['interval']),
    limit: textOf(values['limit']),
    url: textOf(values['url']),
    ...{ json, csv, watch: values['watch'] === true },
  };
};

const isTerminal = ({ stdout, env }: ProgramProcess): boolean =>
  'isTTY' in stdout && stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';

const lastOf = (event: unknown): number | null =>
  typeof event === 'object' && event !== null && 'last' in event && typeof event.last === 'number'
    ? event.last
    : null;

const answerOnce = async (kind: Kind, asked: Asked, server: MarketServer): Promise<string> => {
  const { exchange, symbol, interval, limit, json, csv } = asked;
  const answer = await server.get(kind.path, { exchange, symbol, interval, limit });
  if (json) return `${answer.text}\n`;
  const body: unknown = JSON.parse(answer.text);
  if (csv) return [kind.form.csvHead, ...kind.form.csv(body)].map((line) => `${line ?? ''}\r\n`).join('');
  const source = answer.headers.get('data-source')?.startsWith('sandbox') === true ? 'simulated' : null;
  const stale =
    answer.headers.get('x-cache') === 'STALE' ? `STALE: ${answer.headers.get('age') ?? ''} s old` : null;
  const notes = [source, stale].filter((note) => note !== null);
  const lines = [...kind.form.plain(body), ...(notes.length === 0 ? [] : [`(${notes.join(', ')})`])];
  return lines.map((line) => `${line}\n`).join('');
};

/** A line (of CSV: lines) for each change. */
const printChanges = async (
  kind: Kind,
  asked: Asked,
  {
    program,
    server,
    signal,
  }: { readonly program: ProgramProcess; readonly server: MarketServer; readonly signal: AbortSignal },
): Promise<void> => {
  const { exchange, symbol, interval = DEFAULT_INTERVAL, json, csv } = asked;
  const { stdout } = program;
  const { channel, form } = kind;
  const colour = !json && !csv && isTerminal(program);
  let before: number | null = null;
  let said = '';
  const paint = (line: string, last: number | null): string => {
    const [from, to] = [before, last];
    before = last ?? before;
    if (!colour || from === null || to === null || from === to) return line;
    return `${to > from ? RISEN : FALLEN}${line}${PLAIN}`;
  };
  const linesOf = (event: Readonly<Record<string, unknown>>): string[] => {
    if (json) return [JSON.stringify(event)];
    return csv ? form.csv(event) : (kind.lines ?? form.plain)(event);
  };
  if (csv) stdout.write(`${form.csvHead ?? ''}\r\n`);
  const market = channel === 'health' ? {} : { exchange, symbol };
  const own = channel === 'ticker' ? { threshold: 0 } : channel === 'ohlcv' ? { interval } : {};
  await watch(server, {
    params: { channel, ...market, ...own },
    type: channel,
    signal,
    onEvent: (event) => {
      const text = linesOf(event).join(csv ? '\r\n' : '\n');
      // The first event after a lost connection may be the last one before it.
      if (text === said || text === '') return;
      said = text;
      stdout.write(`${paint(text, lastOf(event))}${csv ? '\r\n' : '\n'}`);
    },
  });
};

const run = async (name: string, kind: Kind, input: CommandInput): Promise<number> => {
  const { program } = input;
  const asked = readAsked(name, kind, input);
  const ending = new AbortController();
  let code: number = EXIT.ok;
  for (const signal of ENDING_SIGNALS)
    program.on(signal, () => {
      code = asked.watch ? EXIT.ok : 128 + constants.signals[signal];
      ending.abort();
    });
  // The reader of the pipe has closed it (EPIPE): there is nothing left to print for.
  program.stdout.on('error', () => ending.abort());
  const server = await openServer(program, { url: asked.url, signal: ending.signal });
  try {
    if (asked.watch) await printChanges(kind, asked, { program, server, signal: ending.signal });
    else await write(program.stdout, await answerOnce(kind, asked, server));
    return code;
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    if (ending.signal.aborted) return code;
    await write(program.stderr, `${thrown.message}\n`);
    return EXIT.failed;
  } finally {
    await server.close();
  }
};

const OPTIONS = {
  exchange: { type: 'string' },
  symbol: { type: 'string' },
  interval: { type: 'string' },
  limit: { type: 'string' },
  url: { type: 'string' },
  json: { type: 'boolean' },
  csv: { type: 'boolean' },
  watch: { type: 'boolean' },
} as const;

const MARKET_HELP = `  --exchange NAME   exchange; or the first argument
  --symbol SYMBOL   symbol, for example BTC/USDT; or the second argument
`;
const INTERVAL_HELP = '  --interval TEXT   1m (the default), 1h, 1d, …\n';
const LIMIT_HELP = '  --limit COUNT     candles, or levels a side\n';
const CSV_HELP = '  --csv             comma-separated values with a head\n';

const commandOf = (name: keyof typeof KINDS, summary: string): Command => {
  const kind: Kind = KINDS[name];
  const ofMarket = kind.channel !== 'health';
  return {
    help: `Usage: mcp-crypto-data-server ${name}${ofMarket ? ' <exchange> <symbol>' : ''} [options]

${summary}

Options:
${ofMarket ? MARKET_HELP : ''}${kind.takes.includes('interval') ? INTERVAL_HELP : ''}${kind.takes.includes('limit') ? LIMIT_HELP : ''}  --watch           a line for each change, until Ctrl-C
  --json            the API's own body; with --watch an event a line
${kind.form.csvHead === null ? '' : CSV_HELP}  --url URL         ask the server there (its key: CRYPTO_DATA_KEY); without it one serves inside this command
`,
    options: OPTIONS,
    takesPositionals: true,
    run: (input) => run(name, kind, input),
  };
};

export const ticker = commandOf('ticker', 'Best bid and ask and the last price of one market.');
export const ohlcv = commandOf('ohlcv', 'Candles of one market, oldest first.');
export const book = commandOf('book', 'The order book of one market.');
export const status = commandOf('status', 'How a server, its exchanges and its streams are.');
