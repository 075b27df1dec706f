/** Requests one page of candles from an exchange for a backfill. */
import { AppError } from '../../errors.js';
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../../schemas/common.js';
import { pagesOf } from '../evidence.js';
import type { AskPage } from '../listing.js';
import type { BackfillBudget } from './backfill-budget.js';

const PAGE_TIMEOUT_MS: Millis = 30_000;

export interface PageRequests {
  /** Rejects with AppErrors. The page tells the symbol as the exchange spells it. */
  readonly ask: AskPage;
  /** The exchange's own spelling of a symbol that was asked for; undefined where it was not. */
  spellingOf(exchange: ExchangeId, symbol: string): UnifiedSymbol | undefined;
}

export interface PageRequestsDeps {
  readonly exchanges: Pick<ExchangeClient, 'fetch'>;
  readonly budget: Pick<BackfillBudget, 'page'>;
  readonly signal: AbortSignal;
  readonly monotonic: () => Millis;
}

export const createPageRequests = ({
  exchanges,
  budget,
  signal,
  monotonic,
}: PageRequestsDeps): PageRequests => {
  const spelled = new Map<string, string>();
  return {
    async ask(name, { since, limit }) {
      const { exchange, symbol, interval } = name;
      const answer = await budget.page(exchange, signal, () =>
        exchanges.fetch(
          { kind: 'ohlcv', exchange, symbol, interval, since, limit, evidence: true, onePage: true },
          { deadline: monotonic() + PAGE_TIMEOUT_MS, priority: 'backfill', attempts: 1, signal },
        ),
      );
      spelled.set(`${exchange} ${symbol}`, answer.symbol);
      const [page] =
        answer.evidence === undefined ? [] : pagesOf({ ...name, symbol: answer.symbol }, answer.evidence);
      if (page === undefined) throw new AppError('internal_error', 'A page without its evidence.');
      return page;
    },
    spellingOf: (exchange, symbol) => spelled.get(`${exchange} ${symbol}`),
  };
};
