/**
 * Points a CCXT instance at a sandbox: each of its URLs `scheme://host/path` becomes `<sandbox>/host/path`, so that one
 * local server tells the venues apart by the first segment. Paths stay: CCXT looks for `/stream` in Binance's feeds.
 */

/** A URL table of CCXT's may be this deep; they are two or three deep. */
const MAX_DEPTH = 6;

const rewriteUrl = (url: string, sandbox: URL): string => {
  // Hosts may hold CCXT's placeholders (`https://api.{hostname}`), which are no valid URLs: text is cut, not parsed.
  const match = /^(https?|wss?):\/\/([^/]+)(\/.*)?$/.exec(url);
  if (match === null) return url;
  const [, scheme = '', host = '', path = ''] = match;
  const secure = sandbox.protocol === 'https:';
  const protocol = scheme.startsWith('ws') ? (secure ? 'wss:' : 'ws:') : sandbox.protocol;
  return `${protocol}//${sandbox.host}/${host}${path}`;
};

const rewrite = (value: unknown, sandbox: URL, depth = 0): unknown => {
  if (typeof value === 'string') return rewriteUrl(value, sandbox);
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((item) => rewrite(item, sandbox, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, rewrite(item, sandbox, depth + 1)]),
  );
};

/** A copy of CCXT's `urls` whose every URL leads to the sandbox; nothing of it reaches a real venue. */
export const toSandboxUrls = (
  urls: Readonly<Record<string, unknown>>,
  sandboxUrl: string,
): Record<string, unknown> => {
  const sandbox = new URL(sandboxUrl);
  return Object.fromEntries(Object.entries(urls).map(([key, value]) => [key, rewrite(value, sandbox)]));
};
