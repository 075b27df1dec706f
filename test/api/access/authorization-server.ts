/** An authorization server in this process: oidc-provider, with clients that get tokens by their own credentials. */
import { once } from 'node:events';
import Provider from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';
import { freePort } from '../../support/free-port.js';

export const CLIENT = { id: 'robot', secret: 'robots-secret' };
export const INTROSPECTOR = { id: 'data-server', secret: 'servers-secret' };

export interface AuthorizationServer {
  readonly issuer: string;
  /** Access tokens are JWTs or opaque from now on. */
  format: 'jwt' | 'opaque';
  /** How long access tokens live that are issued from now on, in seconds. */
  lifetime: number;
  token(ask: { readonly resource: string; readonly scope: string }): Promise<string>;
  /** Revokes an opaque token. */
  revoke(token: string): Promise<void>;
  close(): Promise<void>;
}

const clientOf = ({ id, secret }: typeof CLIENT) => ({
  client_id: id,
  client_secret: secret,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: 'ES256',
});

const basic = ({ id, secret }: typeof CLIENT) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

export const startAuthorizationServer = async (): Promise<AuthorizationServer> => {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'first' };
  const state = { format: 'jwt' as 'jwt' | 'opaque', lifetime: 300 };
  const provider = new Provider(issuer, {
    clients: [clientOf(CLIENT), clientOf(INTROSPECTOR)],
    scopes: ['market:read', 'stream:read'],
    jwks: { keys: [jwk] },
    ttl: { ClientCredentials: () => state.lifetime },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: 'market:read stream:read',
          audience: resource,
          accessTokenTTL: state.lifetime,
          accessTokenFormat: state.format,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  const server = provider.listen(port, '127.0.0.1', () => undefined);
  await once(server, 'listening');
  const post = async (path: string, form: Record<string, string>): Promise<Response> =>
    fetch(`${issuer}${path}`, {
      method: 'POST',
      headers: { authorization: basic(CLIENT) },
      body: new URLSearchParams(form),
    });
  return {
    issuer,
    get format() {
      return state.format;
    },
    set format(format) {
      state.format = format;
    },
    get lifetime() {
      return state.lifetime;
    },
    set lifetime(seconds) {
      state.lifetime = seconds;
    },
    async token(ask) {
      const answer = await post('/token', { grant_type: 'client_credentials', ...ask });
      const body = (await answer.json()) as { access_token?: string; error_description?: string };
      if (body.access_token === undefined) throw new Error(`no token: ${String(body.error_description)}`);
      return body.access_token;
    },
    async revoke(token) {
      await post('/token/revocation', { token });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
