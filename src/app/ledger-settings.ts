/** The settings of the candle store as the ledger takes them. */
import type { Config } from '../config/config.js';
import type { ExchangeNames } from '../exchanges/exchange-names.js';
import type { LedgerDeps } from '../ledger/ledger.js';

export const ledgerSettings = (config: Config, names: ExchangeNames): LedgerDeps['settings'] => ({
  ...config.store,
  budgetShare: config.backfill.budgetShare,
  wanted: config.backfill.series.map((series) => ({
    ...series,
    exchange: names.resolveKnown(series.exchange).exchange,
  })),
});
