/** Looking into CCXT's instances, tables and answers, whose types say nothing of what they hold. */

export type Table = Readonly<Record<string, unknown>>;

export const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null;

/** What `value` itself holds under `key`: never what it inherits, whatever the key. */
export const member = (value: unknown, key: string): unknown =>
  isTable(value) && Object.hasOwn(value, key) ? value[key] : undefined;

export type Method = (...args: unknown[]) => unknown;

export const isMethod = (value: unknown): value is Method => typeof value === 'function';

/** Puts `around` in the place of a method of a CCXT instance. Throws a TypeError where CCXT has no such method. */
export const wrapMethod = (instance: object, name: string, around: (original: Method) => Method): void => {
  const original: unknown = Reflect.get(instance, name);
  if (!isMethod(original)) throw new TypeError(`CCXT has no method ${name}.`);
  Reflect.set(instance, name, around(original));
};
