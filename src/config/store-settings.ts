/** Where candles are kept and which are fetched by themselves: the values of STORE_URL and BACKFILL. */
import { isAbsolute, join, resolve, win32 } from 'node:path';
import { z } from 'zod';

const PRODUCT = 'mcp-crypto-data-server';

/** temporary: a file that ends with the process, for simulated data. */
export type StoreLocation =
  | { readonly kind: 'none' }
  | { readonly kind: 'temporary' }
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string };

const isPostgres = (text: string): boolean =>
  /^postgres(ql)?:\/\/./i.test(text) && URL.canParse(text) && new URL(text).hostname !== '';

const isSqlite = (text: string): boolean => /^sqlite:\s*[^\s]/i.test(text) && !/[\0\n]/.test(text);

/** Empty: the platform's data folder, or with AUTH_STORE the place beside the candles. */
export const storeUrl = z
  .string()
  .refine(
    (text) => text === '' || /^none$/i.test(text) || isSqlite(text) || isPostgres(text),
    'must be sqlite:<file>, postgres://user@host/database or none',
  )
  .default('');

/** Environment variables. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** null where the environment names no home: nothing is written to a place that nobody chose. */
export const dataFolder = (env: Variables): string | null => {
  const given = (name: string): string | undefined => {
    const value = env[name]?.trim();
    return value === undefined || value === '' ? undefined : value;
  };
  const local = given('LOCALAPPDATA');
  if (process.platform === 'win32' && local !== undefined) return win32.join(local, PRODUCT);
  const xdg = given('XDG_DATA_HOME');
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, PRODUCT);
  const home = given('HOME') ?? given('USERPROFILE');
  return home === undefined ? null : join(home, '.local', 'share', PRODUCT);
};

export const storeLocation = (text: string, env: Variables, sandbox: boolean): StoreLocation => {
  if (/^none$/i.test(text)) return { kind: 'none' };
  if (isPostgres(text)) return { kind: 'postgres', url: text };
  const file = /^sqlite:\s*(.+)$/i.exec(text)?.[1];
  if (file !== undefined)
    return { kind: 'sqlite', file: win32.isAbsolute(file) && !isAbsolute(file) ? file : resolve(file) };
  if (sandbox) return { kind: 'temporary' };
  const folder = dataFolder(env);
  return folder === null ? { kind: 'none' } : { kind: 'sqlite', file: join(folder, 'candles.db') };
};

/** One series that is kept complete. */
export interface BackfillEntry {
  /** A name that ENABLED_EXCHANGES may hold. */
  readonly exchange: string;
  readonly symbol: string;
  readonly interval: string;
  /** ms since the epoch */
  readonly from: number;
}

const ENTRY =
  /^([A-Za-z0-9_]{1,32}):(.{1,64}):(\d{1,3}[smhdwMy]):(\d{4}-\d\d-\d\d(?:T[0-9:.]{5,12}Z?)?|\d{10,14})$/u;
const WORDS = 'must be entries such as binance:BTC/USDT:1m:2023-01-01, separated by commas';

const instantOf = (text: string): number => {
  if (/^-?\d+$/.test(text)) return Number(text);
  const at = Date.parse(/T.*\d$/.test(text) ? `${text}Z` : text);
  // Date.parse takes 30 February for 2 March.
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text.slice(0, 10) ? NaN : at;
};

const entryOf = (text: string): BackfillEntry | undefined => {
  const [, exchange, symbol, interval, date] = ENTRY.exec(text) ?? [];
  if (exchange === undefined || symbol === undefined || interval === undefined || date === undefined)
    return undefined;
  const from = instantOf(date);
  return Number.isFinite(from) && from >= 0
    ? { exchange: exchange.toLowerCase(), symbol, interval, from }
    : undefined;
};

export const backfillEntries = z
  .string()
  .transform((text, context): BackfillEntry[] => {
    const entries = text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map(entryOf);
    const good = entries.filter((entry) => entry !== undefined);
    if (good.length === entries.length) return good;
    context.addIssue({ code: 'custom', message: WORDS });
    return z.NEVER;
  })
  .default([]);
