/** Markets as a venue's list has them, for tests that only need their names. */
import type { Market } from '../../src/schemas/market.js';

/** A spot market, with what is different about it. */
export const spotMarket = (symbol: string, members: Partial<Market> = {}): Market => {
  const [base = '', quote = ''] = symbol.split(/[/:]/);
  return {
    symbol,
    id: symbol.replace('/', ''),
    base,
    quote,
    settle: null,
    type: 'spot',
    active: true,
    price_step: 0.01,
    amount_step: 0.0001,
    contract_size: null,
    ...members,
  };
};
