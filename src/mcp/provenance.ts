/** Source and age of an answer, as the output schemas of the tools have them. */
import type { Millis } from '../schemas/common.js';
import type { Ledger } from '../ledger/ledger.js';
import { COINMARKETCAP } from '../market-data/market-data-api.js';
import type { CacheState, MarketData, ServedAnswer } from '../market-data/market-data-api.js';
import type { Provenance } from './tool-schemas.js';

/** The services that tools and resources use. */
export interface McpDependencies {
  readonly marketData: MarketData;
  /** null: no candles are kept. */
  readonly ledger: Pick<Ledger, 'coverage'> | null;
  readonly now: () => Millis;
  /** true while simulated venues stand in for the real ones. */
  readonly sandbox: boolean;
  /** Callers are asked who they are: a cache that several of them share keeps nothing. */
  readonly isPrivate?: boolean;
}

export const cacheScopeOf = ({ isPrivate }: Pick<McpDependencies, 'isPrivate'>): 'public' | 'private' =>
  isPrivate === true ? 'private' : 'public';

export const provenanceOf = (
  answer: Pick<ServedAnswer, 'source' | 'receivedAt'> & { readonly cache?: CacheState },
  { now, sandbox }: Pick<McpDependencies, 'now' | 'sandbox'>,
): Provenance => ({
  source: answer.source,
  ...(answer.cache === undefined ? {} : { cache: answer.cache }),
  received_at: Math.round(answer.receivedAt),
  age_ms: Math.max(0, Math.round(now() - answer.receivedAt)),
  ...(sandbox ? { sandbox: true as const } : {}),
});

const seconds = (ms: Millis): string => (ms / 1000).toFixed(1);

/** The same as sentences, for the text form. */
export const provenanceText = ({ source, cache, age_ms, sandbox }: Provenance): string => {
  const lines = [`Source: ${source}, ${seconds(age_ms)} s old.`];
  if (cache === 'STALE') lines.push('STALE: the exchange is failing; this is its last good answer.');
  if (source.endsWith(COINMARKETCAP))
    lines.push("This is CoinMarketCap's aggregate quote, not the ticker of an exchange.");
  if (sandbox) lines.push('SIMULATED: this comes from the sandbox, not from a real market.');
  return lines.join('\n');
};
