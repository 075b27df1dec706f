/** The log implementation: pino, with JSON lines in production and readable lines on a terminal in development. */
import { pino, stdSerializers, type DestinationStream } from 'pino';
import type { Config } from '../config/config.js';
import type { Log } from './log.js';
import { CENSOR, createScrubber, secretsOf } from './secrets.js';

/** Field names, in lower case, whose values are never written. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'apikey',
  'api_key',
  'password',
  'secret',
  'token',
  'x-cmc_pro_api_key',
  'x-api-key',
]);
/** Deeper members of a record are not written; records are nearly always flat. */
const MAX_DEPTH = 6;
/** Lines are written together once they come to this many bytes, or after so many milliseconds. */
const WRITE_BYTES = 4096;
const WRITE_EVERY_MS = 100;

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !(value instanceof Error) && !Array.isArray(value);

/**
 * `record` without the values of secret fields, at any depth. Not pino's own redaction: with wildcards it costs ten times
 * the line. A record without secret fields, which nearly all are, is returned unchanged.
 */
const censored = (record: Fields, depth = 0): Fields => {
  if (depth > MAX_DEPTH) return {};
  let copy: Fields | undefined;
  for (const [name, value] of Object.entries(record)) {
    const kept = SECRET_FIELDS.has(name.toLowerCase()) ? CENSOR : censoredValue(value, depth + 1);
    if (kept !== value) (copy ??= { ...record })[name] = kept;
  }
  return copy ?? record;
};

const censoredValue = (value: unknown, depth: number): unknown => {
  if (isFields(value)) return censored(value, depth);
  if (!Array.isArray(value)) return value;
  const kept = value.map((item: unknown) => censoredValue(item, depth));
  return kept.every((item, index) => item === value[index]) ? value : kept;
};

/** Standard output with buffered writes; the buffer is flushed when the process exits. */
const bufferedStdout = (): DestinationStream => {
  const sink = pino.destination({
    dest: 1,
    sync: true,
    minLength: WRITE_BYTES,
    periodicFlush: WRITE_EVERY_MS,
  });
  process.once('exit', () => {
    sink.flushSync();
  });
  return sink;
};

export interface LogOptions {
  /** Where lines go; default stdout. */
  readonly destination?: DestinationStream;
  /** Readable lines with colours; default: in development, on a terminal. */
  readonly pretty?: boolean;
  /** Members of every record; default: none. */
  readonly fields?: Readonly<Record<string, string>>;
}

/** Which server of a cluster wrote it, and what the options say. */
const baseOf = ({ bus, serverId }: Config, { fields = {} }: LogOptions): Fields | null => {
  const ofServer = bus === null || serverId === '' ? {} : { server_id: serverId };
  const base = { ...ofServer, ...fields };
  return Object.keys(base).length === 0 ? null : base;
};

/** Records of `config.logLevel` and above, one line each. */
export const createLog = async (config: Config, options: LogOptions = {}): Promise<Log> => {
  const scrub = createScrubber(secretsOf(config));
  const settings = {
    level: config.logLevel,
    base: baseOf(config, options),
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: (record: Fields) => censored(record) },
    serializers: { err: (error: Error) => censored({ ...stdSerializers.err(error) }) },
    hooks: { streamWrite: scrub },
  };
  const pretty = options.pretty ?? (config.env === 'development' && process.stdout.isTTY);
  if (!pretty) {
    const log: Log = pino(settings, options.destination ?? bufferedStdout());
    return log;
  }
  // Loaded on demand: pino-pretty costs 50 ms of start-up, which production does not need.
  const { PinoPretty } = await import('pino-pretty');
  const sink = PinoPretty({
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    ...(options.destination === undefined ? { sync: true } : { destination: options.destination }),
  });
  const log: Log = pino(settings, sink);
  return log;
};
