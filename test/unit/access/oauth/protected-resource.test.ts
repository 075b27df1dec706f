import { describe, expect, it } from 'vitest';
import { challengeOf, resourceMetadata } from '../../../../src/access/oauth/protected-resource.js';

const resource = { publicUrl: 'https://data.example.com/api', issuers: ['https://issuer.example/'] };

describe('what clients are told of authorization', () => {
  it('is where tokens come from, for each resource by its path', () => {
    expect(resourceMetadata('/mcp', resource, ['market:read'])).toEqual({
      resource: 'https://data.example.com/api/mcp',
      authorization_servers: ['https://issuer.example/'],
      scopes_supported: ['market:read'],
      bearer_methods_supported: ['header'],
      resource_name: 'mcp-crypto-data-server',
    });
    expect(resourceMetadata('', resource, []).resource).toBe('https://data.example.com/api');
  });

  it.each([
    [{ path: '/v1/me', error: undefined, scope: undefined, resource: null }, 'Bearer'],
    [{ path: '/mcp', error: undefined, scope: undefined, resource: null }, 'Bearer'],
    [
      { path: '/v1/me', error: 'invalid_token', scope: undefined, resource: null },
      'Bearer error="invalid_token"',
    ],
    [
      { path: '/mcp', error: undefined, scope: 'market:read', resource },
      'Bearer resource_metadata="https://data.example.com/api/.well-known/oauth-protected-resource/mcp", scope="market:read"',
    ],
    [
      { path: '/mcp', error: 'insufficient_scope', scope: 'market:read', resource: null },
      'Bearer error="insufficient_scope", scope="market:read"',
    ],
    [
      { path: '/v1/exchanges', error: undefined, scope: undefined, resource },
      'Bearer resource_metadata="https://data.example.com/api/.well-known/oauth-protected-resource"',
    ],
  ] as const)('%j is challenged', (challenge, expected) => {
    expect(challengeOf(challenge)).toBe(expected);
  });
});
