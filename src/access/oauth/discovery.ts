/** Where an issuer publishes its keys: authorization server metadata (RFC 8414), or OpenID Connect discovery. */
import { z } from 'zod';
import { IssuerFault } from './issuer-http.js';

const metadata = z.looseObject({ issuer: z.string().max(2048), jwks_uri: z.string().max(2048) });

/** RFC 8414, section 3.1: between host and path; OpenID Connect Discovery 1.0, section 4: behind the path. */
const metadataUrls = (issuer: string): readonly string[] => {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
};

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** https, or http to this machine. */
const isTrusted = (url: string): boolean => {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));
};

/**
 * The address of the issuer's JWKS. The document must name the very issuer, to the character: it would be another one's
 * otherwise. Rejects with the last IssuerFault.
 */
export const discoverJwksUri = async (
  issuer: string,
  getJson: (url: string) => Promise<unknown>,
): Promise<string> => {
  let fault = new IssuerFault('no metadata');
  for (const url of metadataUrls(issuer)) {
    try {
      const found = metadata.safeParse(await getJson(url));
      if (!found.success) fault = new IssuerFault('the metadata names no jwks_uri');
      else if (found.data.issuer !== issuer) fault = new IssuerFault('the metadata is of another issuer');
      else if (!isTrusted(found.data.jwks_uri)) fault = new IssuerFault('the jwks_uri is not https');
      else return found.data.jwks_uri;
    } catch (thrown) {
      if (!(thrown instanceof IssuerFault)) throw thrown;
      fault = thrown;
    }
  }
  throw fault;
};
