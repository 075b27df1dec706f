/** Stream events: the same on SSE and WebSocket. */
import { z } from 'zod';
import { exchangeName, nullableNumber, timestamp, unifiedSymbol } from './common.js';
import { bookIntegrity, candle, priceLevel, ticker, trade } from './market.js';
import { serverStatus } from './status.js';

export const CHANNELS = ['ticker', 'trades', 'orderbook', 'ohlcv'] as const;
export type Channel = (typeof CHANNELS)[number];

export const STREAM_STATES = ['live', 'reconnecting', 'stale', 'polling'] as const;
export type StreamState = (typeof STREAM_STATES)[number];

/** Present and true on every event while the sandbox is the venue; absent otherwise. */
const sandbox = z.literal(true).optional();

/** Which market an event is about. */
const market = { exchange: exchangeName, symbol: unifiedSymbol };

export const tickerEvent = z
  .object({
    event_type: z.literal('ticker'),
    ...market,
    bid: nullableNumber,
    ask: nullableNumber,
    last: nullableNumber,
    timestamp,
    price_change_percent: z.number().meta({
      description: "Signed move of last since this stream's last event, in percent; 0 in the first",
    }),
    stats: ticker.shape.stats,
    sandbox,
  })
  .meta({ id: 'TickerEvent' });

export const healthEvent = z
  .object({ event_type: z.literal('health'), ...serverStatus.shape })
  .meta({ id: 'HealthEvent' });

export const heartbeatEvent = z
  .object({ event_type: z.literal('heartbeat'), timestamp, sandbox })
  .meta({ id: 'HeartbeatEvent' });

export const statusEvent = z
  .object({
    event_type: z.literal('status'),
    ...market,
    state: z.enum(STREAM_STATES),
    timestamp,
    detail: z.string(),
    channel: z
      .enum(CHANNELS)
      .optional()
      .meta({ description: 'Which feed of the symbol is meant; absent for ticker' }),
    interval: z.string().optional().meta({ description: 'ohlcv only' }),
    sandbox,
  })
  .meta({ id: 'StatusEvent' });

export const tradesEvent = z
  .object({
    event_type: z.literal('trades'),
    ...market,
    trades: z.array(trade).meta({
      description: 'Oldest first; the latest ones in the first event, afterwards every new one exactly once',
    }),
    sandbox,
  })
  .meta({ id: 'TradesEvent' });

export const orderBookEvent = z
  .object({
    event_type: z.literal('orderbook'),
    ...market,
    bids: z.array(priceLevel).meta({ description: 'Best (highest) first; the top levels, complete' }),
    asks: z.array(priceLevel).meta({ description: 'Best (lowest) first; the top levels, complete' }),
    timestamp,
    book_integrity: bookIntegrity,
    sandbox,
  })
  .meta({ id: 'OrderBookEvent' });

export const ohlcvEvent = z
  .object({
    event_type: z.literal('ohlcv'),
    ...market,
    interval: z.string().meta({ example: '1m' }),
    candles: z.array(candle).meta({ description: 'The candles that are new or changed, oldest first' }),
    sandbox,
  })
  .meta({ id: 'OhlcvEvent' });
