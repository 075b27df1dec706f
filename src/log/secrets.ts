/**
 * Removes the secrets of the settings from finished log lines, in every form in which they can appear: as written, URL
 * encoded, escaped for JSON, or inside the Basic credentials of a proxy.
 */
import type { Config } from '../config/config.js';

export const CENSOR = '[redacted]';
/** Shorter values could be ordinary words: replacing them would garble every line. In URLs they are cut all the same. */
const MIN_SECRET_LENGTH = 6;

/** Where keys and passwords stand in the settings. */
type SecretSettings = Pick<Config, 'coinMarketCap' | 'redis' | 'proxy' | 'store' | 'access'>;

interface Credentials {
  /** Percent-encoded, as the setting has them. */
  readonly user: string;
  readonly password: string;
}

const credentialsOf = (url: string): Credentials | null => {
  if (!URL.canParse(url)) return null;
  const { username, password } = new URL(url);
  // As written: the parser encodes some characters that the setting holds as they are.
  const written = /^[a-z]+:\/\/[^/?#@]*?:([^/?#]*)@/i.exec(url)?.[1];
  return password === '' ? null : { user: username, password: written ?? password };
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** The keys and passwords of the settings; Basic credentials as they stand in a Proxy-Authorization header too. */
export const secretsOf = ({ coinMarketCap, redis, proxy, store, access }: SecretSettings): string[] => {
  const { introspection } = access.oauth;
  const secrets = [coinMarketCap.apiKey, introspection?.clientSecret ?? ''];
  const database = [store.location, access.store].flatMap((at) => (at.kind === 'postgres' ? [at.url] : []));
  for (const url of [redis.url, proxy.https, proxy.http, ...database]) {
    const credentials = credentialsOf(url);
    if (credentials === null) continue;
    const { user, password } = credentials;
    const pair = `${decoded(user)}:${decoded(password)}`;
    secrets.push(password, new URL(url).password, Buffer.from(pair).toString('base64'));
  }
  return secrets.filter((secret) => secret !== '');
};

const jsonEscaped = (text: string): string => JSON.stringify(text).slice(1, -1);

const formsOf = (secret: string): string[] => {
  const plain = decoded(secret);
  const encoded = [secret, plain, encodeURIComponent(plain), encodeURI(plain)];
  // A text that is itself escaped for the line: the secret is escaped twice.
  return encoded.flatMap((form) => [form, jsonEscaped(form), jsonEscaped(jsonEscaped(form))]);
};

const escapedForPattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/** Credentials in any URL, also in one that is not of the settings. */
const URL_CREDENTIALS = /([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/?#@"'<>]{1,512}@/gi;

/** Keys and tickets of this server, and JSON Web Tokens, whosever they are. */
const CREDENTIALS = /cd[kt]_[0-9A-Za-z_-]{16,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g;

/** What takes `secrets` out of a line. Percent-encoding is read in either case, hence so are the secrets. */
export const createScrubber = (secrets: readonly string[]): ((line: string) => string) => {
  const forms = [...new Set(secrets.flatMap(formsOf))]
    .filter((form) => form.length >= MIN_SECRET_LENGTH)
    // One form may contain another: longer ones are replaced first.
    .sort((a, b) => b.length - a.length);
  const pattern = forms.length === 0 ? null : new RegExp(forms.map(escapedForPattern).join('|'), 'gi');
  return (line) => {
    const named = pattern === null ? line : line.replace(pattern, CENSOR);
    const cut = /cd[kt]_|eyJ/.test(named) ? named.replace(CREDENTIALS, CENSOR) : named;
    return cut.includes('://') && cut.includes('@') ? cut.replace(URL_CREDENTIALS, `$1${CENSOR}@`) : cut;
  };
};
