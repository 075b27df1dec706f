/** What of a range of candles can be told to be wrong without asking anybody. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { OhlcvRequest } from '../exchanges/exchange-client.js';

/** A caller's clock may be ahead of this server's, and the next period's start is asked for as soon as it is over. */
const TOLERATED_AHEAD_MS: Millis = 5_000;

const refused = (parameter: string, reason: string): AppError =>
  new AppError('invalid_request', `${parameter}: ${reason}.`, { errors: [{ parameter, reason }] });

/** null: nothing is wrong with it. */
export const faultOfRange = (
  { since, until }: Pick<OhlcvRequest, 'since' | 'until'>,
  now: Millis,
): AppError | null => {
  if (since !== undefined && until !== undefined && since >= until)
    return refused('since', 'must be before until, which is not part of the range');
  if (since !== undefined && since > now + TOLERATED_AHEAD_MS)
    return refused('since', `must not lie in the future; it is ${new Date(now).toISOString()}`);
  return null;
};
