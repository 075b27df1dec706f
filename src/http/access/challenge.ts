/** WWW-Authenticate of an answer that refuses a caller. */
import { challengeOf, type ResourceSettings } from '../../access/oauth/protected-resource.js';
import type { AppError } from '../../errors.js';

/** undefined: this refusal has no challenge. `path`: of the request, without its query. */
export const challengeFor = (
  { status, code, requiredScopes }: AppError,
  path: string,
  resource: ResourceSettings | null,
): string | undefined => {
  if (code === 'insufficient_scope')
    return challengeOf({ path, error: code, scope: requiredScopes?.join(' '), resource });
  if (status !== 401) return undefined;
  // MCP clients ask their authorization server for the scope that the challenge names.
  const scope = path === '/mcp' ? 'market:read' : undefined;
  return challengeOf({
    path,
    error: code === 'unauthenticated' ? undefined : 'invalid_token',
    scope,
    resource,
  });
};
