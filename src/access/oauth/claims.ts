/** What a token says of its bearer, in this server's words: scopes, plan, audience. The same for JWTs and introspection. */
import { z } from 'zod';
import { isScope, type Scope } from '../principal.js';

const MAX_TEXT_LENGTH = 2048;
const MAX_ITEMS = 200;

const text = z.string().min(1).max(MAX_TEXT_LENGTH);
const texts = z.union([text.transform((one) => [one]), z.array(text).max(MAX_ITEMS)]);
/** Words separated by blanks, or a list. */
const words = z
  .union([
    z
      .string()
      .max(MAX_TEXT_LENGTH * 4)
      .transform((line) => line.split(' ')),
    z.array(z.string()).max(MAX_ITEMS),
  ])
  .optional()
  .catch(undefined);
const optionalText = text.optional().catch(undefined);
/** Seconds since the epoch. */
const instant = z.number().min(0).max(1e11);

/** Claims that are read here; each is whatever it may be where it is of no use. */
export const tokenClaims = z.looseObject({
  iss: text.optional(),
  sub: text.optional(),
  aud: texts.optional(),
  exp: instant.optional(),
  nbf: instant.optional(),
  azp: optionalText,
  appid: optionalText,
  client_id: optionalText,
  cid: optionalText,
  scope: words,
  scp: words,
  permissions: words,
});
export type TokenClaims = z.infer<typeof tokenClaims>;

/** Whose a token is, as this server keeps it. */
export interface TokenBearer {
  readonly issuer: string;
  /** '': the token is a client's own. */
  readonly subject: string;
  /** '': the token does not say. */
  readonly client: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The claim's, whether or not there is such a plan; null: it names none. */
  readonly plan: string | null;
  /** Made for the address of MCP alone. */
  readonly mcpOnly: boolean;
  /** By the issuer's clock, ms since the epoch. */
  readonly expiresAt: number;
}

export interface ClaimSettings {
  readonly audiences: readonly string[];
  /** Without a slash at its end; null: not set. */
  readonly publicUrl: string | null;
  readonly scopePrefix: string;
  readonly planClaim: string | null;
}

const withoutSlash = (url: string): string => (url.endsWith('/') ? url.slice(0, -1) : url);

/** null: the token is for somebody else. A URL with a slash at its end and without one are one audience. */
export const audienceOf = (
  claimed: readonly string[] | undefined,
  { audiences, publicUrl }: ClaimSettings,
): { readonly mcpOnly: boolean } | null => {
  const ours = new Set(audiences.map(withoutSlash));
  const fitting = (claimed ?? []).map(withoutSlash).filter((audience) => ours.has(audience));
  if (fitting.length === 0) return null;
  return { mcpOnly: publicUrl !== null && fitting.every((audience) => audience === `${publicUrl}/mcp`) };
};

const scopesOf = ({ scope, scp, permissions }: TokenClaims, prefix: string): ReadonlySet<Scope> => {
  const named = [...(scope ?? []), ...(scp ?? []), ...(permissions ?? [])];
  const plain = named.map((name) =>
    prefix !== '' && name.startsWith(prefix) ? name.slice(prefix.length) : name,
  );
  return new Set(plain.filter(isScope));
};

/** `issuer`, `expiresAt` and the audience were checked before. */
export const bearerOf = (
  claims: TokenClaims,
  settings: ClaimSettings,
  known: Pick<TokenBearer, 'issuer' | 'expiresAt' | 'mcpOnly'>,
): TokenBearer => {
  const { planClaim, scopePrefix } = settings;
  const plan = planClaim === null || !Object.hasOwn(claims, planClaim) ? undefined : claims[planClaim];
  return {
    ...known,
    subject: claims.sub ?? '',
    client: claims.azp ?? claims.appid ?? claims.client_id ?? claims.cid ?? '',
    scopes: scopesOf(claims, scopePrefix),
    plan: typeof plan === 'string' && plan !== '' ? plan : null,
  };
};
