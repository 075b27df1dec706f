/** Whose fault an error is, which decides whether something else may be served in the answer's place. */
import { AppError, type ErrorCode } from '../errors.js';

/** Not the venue's doing: no reason to serve something else in its place. */
const OWN_FAULTS: ReadonlySet<ErrorCode> = new Set(['client_rate_limited', 'shutting_down']);
export const isVenueFault = ({ status, code }: AppError): boolean => status >= 429 && !OWN_FAULTS.has(code);

/** For a caller who left: its own reason where that is one of ours. */
export const givenUp = (reason: unknown): AppError =>
  reason instanceof AppError
    ? reason
    : new AppError('upstream_timeout', 'The request was given up before it was answered.');
