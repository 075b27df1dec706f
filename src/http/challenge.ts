/** WWW-Authenticate (RFC 6750, section 3) of an answer that refuses a caller. */
import type { AppError } from '../errors.js';

/** `error` stands there only where a credential came. undefined: this refusal has no challenge. */
export const challengeOf = ({ status, code, requiredScopes }: AppError): string | undefined => {
  if (code === 'insufficient_scope') {
    const scope = requiredScopes === undefined ? '' : `, scope="${requiredScopes.join(' ')}"`;
    return `Bearer error="insufficient_scope"${scope}`;
  }
  if (status !== 401) return undefined;
  return code === 'unauthenticated' ? 'Bearer' : 'Bearer error="invalid_token"';
};
