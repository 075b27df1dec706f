/** Who may ask: the settings of keys, tokens and plans, with what they demand of each other. */
import { dirname, join } from 'node:path';
import type { AuthMode } from '../schemas/access.js';
import type { Environment } from './environment.js';
import { dataFolder, storeLocation, type StoreLocation, type Variables } from './store-settings.js';
import { isLoopback, isPlainHttpUrl, list } from './values.js';

interface IntrospectionSettings {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

interface OAuthSettings {
  /** Empty: tokens are not accepted. As written: issuers are compared to the character. */
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly clockSkewMs: number;
  /** Cut from the front of a token's scopes; empty: nothing is. */
  readonly scopePrefix: string;
  /** Claim that names the plan; null: OAUTH_DEFAULT_PLAN is everybody's. */
  readonly planClaim: string | null;
  readonly defaultPlan: string;
  /** null: opaque tokens are refused. */
  readonly introspection: IntrospectionSettings | null;
}

export interface AccessSettings {
  readonly mode: AuthMode;
  readonly store: Exclude<StoreLocation, { kind: 'temporary' }>;
  /** Plan of callers without a credential, with AUTH_MODE=optional. */
  readonly anonymousPlan: string | null;
  readonly syncIntervalMs: number;
  /** How long keys are served from memory while the store does not answer. */
  readonly maxStaleMs: number;
  readonly ticketTtlMs: number;
  readonly adminApi: boolean;
  /** /metrics asks for the scope metrics:read. */
  readonly metricsAuth: boolean;
  /** Without a slash at its end; null: not set. */
  readonly publicUrl: string | null;
  readonly oauth: OAuthSettings;
}

/** Where keys are kept: by default with the candles, in a file of their own where those are in one. */
const accessStore = (e: Environment, env: Variables): AccessSettings['store'] => {
  if (e.AUTH_STORE !== '') {
    const named = storeLocation(e.AUTH_STORE, env, false);
    return named.kind === 'temporary' ? { kind: 'none' } : named;
  }
  const candles = storeLocation(e.STORE_URL, env, false);
  if (candles.kind === 'sqlite')
    return {
      kind: 'sqlite',
      file: join(e.STORE_URL === '' ? (dataFolder(env) ?? '.') : dirname(candles.file), 'access.db'),
    };
  return candles.kind === 'postgres' ? candles : { kind: 'none' };
};

/** Where this process's own user is the only caller, there is nobody to be asked: these go over what is set. */
export const WITHOUT_ACCESS: Variables = {
  ...{ AUTH_MODE: 'off', ADMIN_API: 'false', METRICS_AUTH: 'false' },
  ...{ OAUTH_ISSUER: '', OAUTH_INTROSPECTION_URL: '' },
};

const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

export const accessSettings = (e: Environment, env: Variables): AccessSettings => {
  const publicUrl = e.PUBLIC_URL === '' ? null : withoutSlash(e.PUBLIC_URL);
  const audiences = list(e.OAUTH_AUDIENCE);
  return {
    mode: e.AUTH_MODE,
    store: accessStore(e, env),
    anonymousPlan: e.AUTH_ANONYMOUS_PLAN === '' ? null : e.AUTH_ANONYMOUS_PLAN,
    syncIntervalMs: e.AUTH_SYNC_INTERVAL,
    maxStaleMs: e.AUTH_MAX_STALE,
    ticketTtlMs: e.AUTH_TICKET_TTL,
    adminApi: e.ADMIN_API,
    metricsAuth: e.METRICS_AUTH,
    publicUrl,
    oauth: {
      issuers: list(e.OAUTH_ISSUER),
      audiences: audiences.length > 0 || publicUrl === null ? audiences : [publicUrl, `${publicUrl}/mcp`],
      algorithms: list(e.OAUTH_ALGORITHMS),
      clockSkewMs: e.OAUTH_CLOCK_SKEW,
      scopePrefix: e.OAUTH_SCOPE_PREFIX,
      planClaim: e.OAUTH_PLAN_CLAIM === '' ? null : e.OAUTH_PLAN_CLAIM,
      defaultPlan: e.OAUTH_DEFAULT_PLAN,
      introspection:
        e.OAUTH_INTROSPECTION_URL === ''
          ? null
          : {
              url: e.OAUTH_INTROSPECTION_URL,
              clientId: e.OAUTH_INTROSPECTION_CLIENT_ID,
              clientSecret: e.OAUTH_INTROSPECTION_CLIENT_SECRET,
            },
    },
  };
};

/** https, or http to this machine alone: what comes from there decides who is let in. */
const isTrustedUrl = (url: string): boolean => {
  if (!isPlainHttpUrl(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''));
};

/** What the settings demand of each other; a sentence each. */
export const accessFaults = (e: Environment, env: Variables): string[] => {
  const { mode, store, publicUrl, oauth } = accessSettings(e, env);
  const faults: string[] = [];
  if (mode !== 'off' && store.kind === 'none')
    faults.push(`AUTH_STORE: names no store for keys, which AUTH_MODE=${mode} needs`);
  if (mode === 'off' && e.ADMIN_API) faults.push('ADMIN_API: needs AUTH_MODE=optional or required');
  if (mode === 'off' && e.METRICS_AUTH) faults.push('METRICS_AUTH: needs AUTH_MODE=optional or required');
  if (oauth.issuers.length > 0 && publicUrl === null)
    faults.push('OAUTH_ISSUER: needs PUBLIC_URL, by which tokens name this server');
  for (const issuer of oauth.issuers)
    if (!isTrustedUrl(issuer))
      faults.push('OAUTH_ISSUER: must be https URLs separated by commas; http on this machine only');
  if (oauth.introspection !== null && !isTrustedUrl(oauth.introspection.url))
    faults.push('OAUTH_INTROSPECTION_URL: must be an https URL; http on this machine only');
  return [...new Set(faults)];
};
