import { expect, test } from 'vitest';
import { rankMarkets } from '../../../src/http/udf/search.js';
import type { Market } from '../../../src/schemas/market.js';

const marketOf = (symbol: string, given: Partial<Market> = {}): Market => {
  const [base = '', quote = ''] = symbol.split(/[/:]/);
  return {
    ...{ symbol, id: symbol.replace('/', ''), base, quote, settle: null, type: 'spot', active: true },
    ...{ price_step: null, amount_step: null, contract_size: null },
    ...given,
  };
};
const ranked = (query: string, markets: readonly Market[]): string[] =>
  rankMarkets(
    markets.map((market) => ({ market })),
    query,
  ).map(({ market }) => market.symbol);

test('of a base currency the market that is traded most comes first, spot before derivatives', () => {
  const markets = [
    ...['ADA/BTC', 'BTC/BRL', 'BTC/EUR', 'BTC/USDC', 'BTC/USD', 'BTC/USDT', 'BTCST/USDT'].map((symbol) =>
      marketOf(symbol),
    ),
    marketOf('BTC/USDT:USDT', { type: 'swap', settle: 'USDT' }),
  ];
  expect(ranked('BTC', markets)).toEqual([
    ...['BTC/USDT', 'BTC/USD', 'BTC/USDC', 'BTC/EUR', 'BTC/BRL'],
    ...['BTC/USDT:USDT', 'BTCST/USDT', 'ADA/BTC'],
  ]);
});

test.each(['BTC/EUR', 'BTCEUR', 'BTC-EUR'])('the pair itself comes first, as %s too', (query) => {
  const markets = ['BTC/USDT', 'BTC/EURI', 'BTC/EUR', 'WBTC/EUR'].map((symbol) => marketOf(symbol));
  expect(ranked(query, markets)[0]).toBe('BTC/EUR');
});

test('what is halted comes last, and what ranks alike stays in its order', () => {
  const halted = marketOf('BTC/USDT', { active: false });
  expect(ranked('BTC', [halted, marketOf('BTC/TRY'), marketOf('BTC/BRL'), marketOf('X/BTC')])).toEqual([
    ...['BTC/TRY', 'BTC/BRL', 'X/BTC', 'BTC/USDT'],
  ]);
  expect(ranked('', [marketOf('B/USDT'), marketOf('A/USDT')])).toEqual(['B/USDT', 'A/USDT']);
});
