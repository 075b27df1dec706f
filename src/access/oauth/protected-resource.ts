/** What clients are told of where tokens for this server come from (RFC 9728), and of why a credential was refused. */

/** The documents by the path of what they are about. */
const WELL_KNOWN = '/.well-known/oauth-protected-resource';

export const RESOURCES = [
  { path: '', url: WELL_KNOWN },
  { path: '/mcp', url: `${WELL_KNOWN}/mcp` },
] as const;

export interface ResourceSettings {
  /** Without a slash at its end. */
  readonly publicUrl: string;
  readonly issuers: readonly string[];
}

/** The metadata of the resource at `path` of this server. */
export const resourceMetadata = (
  path: string,
  { publicUrl, issuers }: ResourceSettings,
  scopes: readonly string[],
) => ({
  resource: `${publicUrl}${path}`,
  authorization_servers: [...issuers],
  scopes_supported: [...scopes],
  bearer_methods_supported: ['header'],
  resource_name: 'mcp-crypto-data-server',
});

export interface Challenge {
  /** Path of what was asked for. */
  readonly path: string;
  /** Why a credential that came is not enough; undefined: none came. */
  readonly error: 'invalid_token' | 'insufficient_scope' | undefined;
  /** Scope that is asked for; undefined: it is not told. */
  readonly scope: string | undefined;
  /** null: no issuer is trusted, tokens are of no use. */
  readonly resource: ResourceSettings | null;
}

/** `WWW-Authenticate` of a 401, or of a 403 for want of a scope (RFC 6750, section 3; RFC 9728, section 5.1). */
export const challengeOf = ({ path, error, scope, resource }: Challenge): string => {
  const isMcp = path === '/mcp';
  const metadata = resource === null ? undefined : `${resource.publicUrl}${WELL_KNOWN}${isMcp ? '/mcp' : ''}`;
  const members = { error, resource_metadata: metadata, scope };
  const words = Object.entries(members).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${value}"`],
  );
  return words.length === 0 ? 'Bearer' : `Bearer ${words.join(', ')}`;
};
