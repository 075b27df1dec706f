/** Tokens of the issuers that the settings name: what of OAuth the server needs, put together. */
import type { Timers } from '../../lib/timers.js';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { AccessHealth, OtherCredentials } from '../access.js';
import { createExpiryWatch } from '../expiry-watch.js';
import type { Plan } from '../plan.js';
import { createIntrospection } from './introspection.js';
import { createIssuerHttp, type IssuerHttpOptions } from './issuer-http.js';
import { IssuerKeys } from './issuer-keys.js';
import { createJwtVerifier, type JwtSettings } from './jwt.js';
import { createTokens } from './tokens.js';

export interface OAuthOptions extends Pick<IssuerHttpOptions, 'proxy' | 'userAgent'> {
  readonly settings: JwtSettings & {
    readonly issuers: readonly string[];
    /** null: opaque tokens are refused. */
    readonly introspection: {
      readonly url: string;
      readonly clientId: string;
      readonly clientSecret: string;
    } | null;
  };
  readonly plan: (name: string) => Plan | undefined;
  /** Of tokens that name no plan. */
  readonly defaultPlan: Plan;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
  readonly timers: Timers;
}

export interface OAuth {
  readonly credentials: OtherCredentials;
  /** Loads the issuers' keys, and keeps them fresh. */
  start(): void;
  close(): Promise<void>;
}

/** An audience that is no address of this server lets in what was issued to others, such as ID tokens of a client. */
const foreignAudiences = ({ audiences, publicUrl }: JwtSettings): readonly string[] =>
  audiences.filter(
    (audience) => publicUrl === null || (audience !== publicUrl && !audience.startsWith(`${publicUrl}/`)),
  );

export const createOAuth = (options: OAuthOptions): OAuth => {
  const { settings, proxy, userAgent, log, now, monotonic, timers } = options;
  const http = createIssuerHttp({ proxy, userAgent });
  const watch = createExpiryWatch(now);
  const startedAt = now();
  const foreign = foreignAudiences(settings);
  if (foreign.length > 0)
    log.warn(
      { audiences: foreign },
      'OAUTH_AUDIENCE names what is no address of this server: tokens that were issued for others with it are accepted.',
    );
  const issuers = new Map(
    settings.issuers.map((issuer) => {
      const onGone = (kids: readonly string[]): void => tokens.keysGone(issuer, kids);
      return [issuer, new IssuerKeys({ issuer, http, log, timers, monotonic, onGone })];
    }),
  );
  const { introspection: endpoint } = settings;
  const tokens = createTokens({
    verifyJwt: createJwtVerifier({ settings, issuers, now }),
    introspect:
      endpoint === null
        ? null
        : createIntrospection({ endpoint, settings, issuers: settings.issuers, http, log, now, monotonic }),
    plan: options.plan,
    defaultPlan: options.defaultPlan,
    watch,
    clockSkewMs: settings.clockSkewMs,
    log,
    now,
  });
  const health = (): AccessHealth => {
    const all = [...issuers.values()].map((keys) => keys.health());
    const since = Math.max(startedAt, ...all.map((issuer) => issuer.since));
    const ill = all.filter(({ state }) => state !== 'ok');
    if (ill.length === 0) return { state: 'ok', since, detail: 'The keys of all issuers are known.' };
    const names = ill.map(({ issuer, state }) => `${issuer} (${state})`).join(', ');
    return { state: 'degraded', since, detail: `Keys of issuers cannot be loaded: ${names}.` };
  };
  return {
    credentials: { find: tokens.find, verify: tokens.verify, health },
    start() {
      for (const keys of issuers.values()) keys.start();
    },
    async close() {
      watch.close();
      for (const keys of issuers.values()) keys.close();
      await http.close();
    },
  };
};
