/** The little of a logger that services need; pino's logger fits. */
export interface Log {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

const discard = (): void => undefined;

/** For tests and for callers who want silence. */
export const silentLog: Log = { debug: discard, info: discard, warn: discard, error: discard };
