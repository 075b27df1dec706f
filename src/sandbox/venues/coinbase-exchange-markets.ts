// Coinbase Exchange's products and currencies.
// https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproducts and ..._getcurrencies
import { toDecimal } from '../format.js';
import { type Market } from '../listings.js';

const FIAT = new Set(['USD', 'EUR']);

export const coinbaseId = (market: Market): string => `${market.base}-${market.quote}`;

export const coinbaseProduct = (market: Market) => ({
  id: coinbaseId(market),
  base_currency: market.base,
  quote_currency: market.quote,
  quote_increment: toDecimal(1, market.priceDecimals),
  base_increment: '0.00000001',
  display_name: coinbaseId(market),
  min_market_funds: '1',
  margin_enabled: false,
  post_only: false,
  limit_only: false,
  cancel_only: false,
  status: market.active ? 'online' : 'delisted',
  status_message: '',
  trading_disabled: !market.active,
  fx_stablecoin: false,
  max_slippage_percentage: '0.02000000',
  auction_mode: false,
  high_bid_limit_percentage: '',
});

const coinbaseCurrency = (id: string) => ({
  id,
  name: id,
  min_size: FIAT.has(id) ? '0.01' : '0.00000001',
  status: 'online',
  message: '',
  max_precision: FIAT.has(id) ? '0.01' : '0.00000001',
  convertible_to: [],
  details: {
    type: FIAT.has(id) ? 'fiat' : 'crypto',
    symbol: null,
    network_confirmations: 14,
    sort_order: 0,
    crypto_address_link: null,
    push_payment_methods: [],
    group_types: [],
    display_name: null,
    processing_time_seconds: null,
    min_withdrawal_amount: 0.000001,
    max_withdrawal_amount: 20000000,
  },
  default_network: '',
  supported_networks: [],
  display_name: id,
});

export const coinbaseCurrencies = (markets: readonly Market[]) =>
  [...new Set(markets.flatMap((market) => [market.base, market.quote]))].map(coinbaseCurrency);
