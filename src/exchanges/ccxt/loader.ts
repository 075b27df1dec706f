/**
 * Loads one exchange of CCXT rather than all 100 and more: `import 'ccxt'` costs 600 ms and 80 MB, one module a tenth.
 * CCXT exports no such path, so the files are found beside its entry; where they have moved, everything is imported.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { AppError } from '../../errors.js';
import type { ExchangeId } from '../../schemas/common.js';
import { type CcxtClass, isTable, member } from './ccxt-exchange.js';

const MODULE_NAME = /^([a-z][a-z0-9]{1,31})\.js$/;

export interface Installation {
  /** Module URL by exchange id; empty where CCXT's files are not where they used to be. */
  readonly modules: ReadonlyMap<ExchangeId, URL>;
}

const namesIn = (folder: URL): string[] => {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => MODULE_NAME.exec(file)?.[1] ?? []);
};

/** The modules beside CCXT's entry; the pro one, which has the feeds as well, where there is one. */
export const findModules = (entry: string): Installation => {
  const rest = new URL('./src/', entry);
  const pro = new URL('./src/pro/', entry);
  const withFeeds = new Set(namesIn(pro));
  const modules = new Map(
    namesIn(rest).map((id) => [id, new URL(`${id}.js`, withFeeds.has(id) ? pro : rest)] as const),
  );
  return { modules };
};

let installation: Installation | undefined;
const installed = (): Installation => (installation ??= findModules(import.meta.resolve('ccxt')));

/** Every exchange class has `describe` and the `request` of CCXT's base class on its prototype chain. */
const isExchangeClass = (value: unknown): value is CcxtClass => {
  if (typeof value !== 'function') return false;
  const prototype: unknown = value.prototype;
  return (
    isTable(prototype) && typeof prototype['describe'] === 'function' && 'handleRestResponse' in prototype
  );
};

const memberOf = (module: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>(member, module);

/** The whole package: only where the single modules are not to be found. Ids come from its own list. */
export const loadFromPackage = async (id: ExchangeId): Promise<CcxtClass> => {
  const ccxt: unknown = (await import('ccxt')).default;
  const ids = memberOf(ccxt, 'exchanges');
  if (!Array.isArray(ids) || !ids.includes(id)) throw unknownExchange(id);
  const found = [memberOf(ccxt, 'pro', id), memberOf(ccxt, id)].find(isExchangeClass);
  if (found === undefined) throw unknownExchange(id);
  return found;
};

const unknownExchange = (id: string): AppError =>
  new AppError('unknown_exchange', `${id.slice(0, 32)} is not an exchange that CCXT knows.`);

/** Slow (400 ms): the CommonJS build, whose classes are not the ones we use, read for its list of names alone. */
const idsOfPackage = (): ExchangeId[] => {
  const ids = memberOf(createRequire(import.meta.url)('ccxt'), 'exchanges');
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
};

/**
 * All exchange ids that CCXT has, sorted. Synchronous and cheap (a directory listing): the settings are checked
 * against it before anything of CCXT is loaded.
 */
export const listExchangeIds = ({ modules }: Installation = installed()): readonly ExchangeId[] =>
  (modules.size > 0 ? [...modules.keys()] : idsOfPackage()).sort();

/** The class of one exchange, from its own module. Rejects with `unknown_exchange` for anything not on CCXT's list. */
export const loadExchangeClass = async (
  id: ExchangeId,
  { modules }: Installation = installed(),
): Promise<CcxtClass> => {
  if (modules.size === 0) return loadFromPackage(id);
  const url = modules.get(id);
  if (url === undefined) throw unknownExchange(id);
  const module: unknown = await import(url.href);
  const found = memberOf(module, 'default');
  return isExchangeClass(found) ? found : loadFromPackage(id);
};
