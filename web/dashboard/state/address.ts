/** The page's address, `#/{exchange}/{symbol}/{interval}`: what is selected, so that a reload and a link show the same. */

export interface Selection {
  readonly exchange: string;
  /** As the address has it until the server's spelling is known: `BTC-USDT` is read as well as `BTC/USDT`. */
  readonly symbol: string;
  readonly interval: string;
}

export const DEFAULT_INTERVAL = '1m';

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** null: nothing is selected. A symbol whose `/` is not encoded is read too. */
export const parseAddress = (hash: string): Selection | null => {
  const parts = hash.replace(/^#?\/?/, '').split('/');
  const exchange = decode(parts[0] ?? '').toLowerCase();
  if (exchange === '' || parts.length < 2) return null;
  const hasInterval = parts.length > 2 && /^\d+[smhdwMy]$/.test(parts.at(-1) ?? '');
  const symbol = decode(parts.slice(1, hasInterval ? -1 : undefined).join('/'));
  if (symbol === '') return null;
  return { exchange, symbol, interval: hasInterval ? (parts.at(-1) ?? DEFAULT_INTERVAL) : DEFAULT_INTERVAL };
};

export const formatAddress = ({ exchange, symbol, interval }: Selection): string =>
  `#/${encodeURIComponent(exchange)}/${encodeURIComponent(symbol)}/${encodeURIComponent(interval)}`;
