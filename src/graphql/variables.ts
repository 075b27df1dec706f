/** Bounds of an operation's variables as they come, before anything else is done with them. */
import { AppError } from '../errors.js';
import { nestsDeeperThan } from '../lib/nesting.js';
import { refuse, TooComplex, type LimitName } from './faults.js';
import { MAX_LIST_ITEMS, MAX_VARIABLES_BYTES, MAX_VARIABLES_DEPTH } from './limits.js';

/**
 * Before variables are written as JSON or coerced: both take long for long lists, and fail for what nests deeply. Throws a
 * Refusal or `payload_too_large`; `onRefusal` is called with the limit first.
 */
export const boundVariables = (
  variables: Readonly<Record<string, unknown>>,
  onRefusal: (limit: LimitName) => void,
): void => {
  const refuseFor = (fault: ConstructorParameters<typeof TooComplex>[0]): never => {
    onRefusal(fault.limit);
    throw refuse(new TooComplex(fault));
  };
  const given = Object.values(variables);
  if (given.length === 0) return;
  if (nestsDeeperThan(variables, MAX_VARIABLES_DEPTH))
    refuseFor({ limit: 'variables_depth', found: MAX_VARIABLES_DEPTH + 1, allowed: MAX_VARIABLES_DEPTH });
  for (const value of given)
    if (Array.isArray(value) && value.length > MAX_LIST_ITEMS)
      refuseFor({ limit: 'list', found: value.length, allowed: MAX_LIST_ITEMS });
  if (Buffer.byteLength(JSON.stringify(variables)) > MAX_VARIABLES_BYTES) {
    onRefusal('bytes');
    throw new AppError('payload_too_large', `Variables may have at most ${MAX_VARIABLES_BYTES} bytes.`);
  }
};
