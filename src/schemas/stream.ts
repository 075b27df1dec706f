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

/** A client that comes back names it, and gets what came after it. */
const id = z.string().optional().meta({
  description: 'On /ws only; in Server-Sent Events the id is not in the data but beside it',
  example: '1795350115200-42',
});

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
    id,
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
    resumed: z.enum(['complete', 'partial', 'none']).optional().meta({
      description:
        'The answer to a client that named its last event: what follows is all that came after it; what is left of that, behind a LostEvent; or the id is not known',
    }),
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
    id,
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
    id,
    sandbox,
  })
  .meta({ id: 'OrderBookEvent' });

export const ohlcvEvent = z
  .object({
    event_type: z.literal('ohlcv'),
    ...market,
    interval: z.string().meta({ example: '1m' }),
    candles: z.array(candle).meta({ description: 'The candles that are new or changed, oldest first' }),
    id,
    sandbox,
  })
  .meta({ id: 'OhlcvEvent' });
