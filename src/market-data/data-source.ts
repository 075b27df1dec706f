/** The Data-Source header: whose data it is and which way it came. */
import type { ExchangeId } from '../schemas/common.js';

export type Via = 'rest' | 'websocket' | 'store' | 'store+rest';

export const COINMARKETCAP = 'coinmarketcap';

/** `binance; via=rest`; while the venues are simulated `sandbox; via=rest`. */
export const venueSource = (exchange: ExchangeId, via: Via, sandbox: boolean): string =>
  `${sandbox ? 'sandbox' : exchange}; via=${via}`;

/** Of a quote that stands in for a venue. */
export const coinMarketCapSource = (sandbox: boolean): string =>
  sandbox ? `sandbox; via=${COINMARKETCAP}` : COINMARKETCAP;

/** Of what this server says of itself: its settings and its catalogue of exchanges. */
export const ownSource = (sandbox: boolean): string => (sandbox ? 'sandbox; via=rest' : 'server');
