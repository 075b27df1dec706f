/** Every venue whose recordings can be replayed. */
import type { VenueTable } from './checks.js';
import { BINANCE } from './venues/binance.js';
import { BINGX } from './venues/bingx.js';
import { BITFINEX } from './venues/bitfinex.js';
import { BITFLYER } from './venues/bitflyer.js';
import { BITGET } from './venues/bitget.js';
import { BITSTAMP } from './venues/bitstamp.js';
import { BITVAVO } from './venues/bitvavo.js';
import { BLOFIN } from './venues/blofin.js';
import { BYBIT } from './venues/bybit.js';
import { COINBASE, COINBASEEXCHANGE } from './venues/coinbase.js';
import { COINEX } from './venues/coinex.js';
import { CRYPTOCOM } from './venues/cryptocom.js';
import { DERIBIT } from './venues/deribit.js';
import { DYDX } from './venues/dydx.js';
import { GATE } from './venues/gate.js';
import { GEMINI } from './venues/gemini.js';
import { HTX } from './venues/htx.js';
import { HYPERLIQUID } from './venues/hyperliquid.js';
import { KRAKEN, KRAKENFUTURES } from './venues/kraken.js';
import { KUCOIN } from './venues/kucoin.js';
import { LBANK } from './venues/lbank.js';
import { MEXC } from './venues/mexc.js';
import { OKX } from './venues/okx.js';
import { POLONIEX } from './venues/poloniex.js';
import { UPBIT } from './venues/upbit.js';
import { WEEX } from './venues/weex.js';
import { WHITEBIT } from './venues/whitebit.js';
import { XT } from './venues/xt.js';

export const TABLES: readonly VenueTable[] = [
  ...BINANCE,
  KRAKEN,
  COINBASEEXCHANGE,
  COINBASE,
  KRAKENFUTURES,
  HYPERLIQUID,
  MEXC,
  BITFINEX,
  BINGX,
  BYBIT,
  HTX,
  GEMINI,
  DERIBIT,
  OKX,
  GATE,
  BITFLYER,
  BITGET,
  BITSTAMP,
  BITVAVO,
  BLOFIN,
  COINEX,
  CRYPTOCOM,
  DYDX,
  KUCOIN,
  LBANK,
  POLONIEX,
  UPBIT,
  WEEX,
  WHITEBIT,
  XT,
];
