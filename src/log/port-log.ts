/** Sends a worker's log lines to the serving thread's logger. */
import type { Log } from './log.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

type Send = (level: LogLevel, details: Readonly<Record<string, unknown>>, message: string) => void;

/** Details as plain data: values that structured cloning refuses or strips become text. */
const plain = (value: unknown): unknown => {
  if (value instanceof Error) return { type: value.name, message: value.message, stack: value.stack };
  if (value === null || ['string', 'number', 'boolean', 'undefined'].includes(typeof value)) return value;
  try {
    const json: unknown = JSON.parse(JSON.stringify(value));
    return json;
  } catch {
    // Functions, symbols, big integers, cycles.
    return `(${typeof value})`;
  }
};

const plainDetails = (details: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(details).map(([name, value]) => [name, plain(value)]));

export const portLog = (send: Send): Log => {
  const at =
    (level: LogLevel) =>
    (details: object, message: string): void =>
      send(level, plainDetails(details), message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
};
