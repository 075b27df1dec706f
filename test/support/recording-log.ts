/** A log that keeps its lines for the test to read. */
import type { Log } from '../../src/log/log.js';

export interface LogLine {
  readonly level: keyof Log;
  readonly details: object;
  readonly message: string;
}

export const recordingLog = (): Log & { readonly lines: LogLine[]; warnings(): string[] } => {
  const lines: LogLine[] = [];
  const at =
    (level: keyof Log) =>
    (details: object, message: string): void =>
      void lines.push({ level, details, message });
  return {
    lines,
    warnings: () => lines.filter(({ level }) => level === 'warn').map(({ message }) => message),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
};
