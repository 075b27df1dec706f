/** The part of a logger that services use; pino's logger implements it. */
export interface Log {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

const discard = (): void => undefined;

/** Writes nothing. */
export const silentLog: Log = { debug: discard, info: discard, warn: discard, error: discard };
