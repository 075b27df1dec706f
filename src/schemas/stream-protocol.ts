/**
 * What clients and server say to each other on WS /ws, beside the events: requests, their answers, errors and the
 * notice about lost trades. docs: /asyncapi.json.
 */
import { z } from 'zod';
import { MAX_SYMBOL_LENGTH, exchangeName, timestamp, unifiedSymbol } from './common.js';
import { problem } from './problem.js';
import { ohlcvQuery, tickerQuery } from './query.js';
import { CHANNELS } from './stream.js';

/** Symbols of one request. */
const MAX_SYMBOLS_PER_REQUEST = 200;
const MAX_REQ_ID_LENGTH = 64;

export const reqId = z
  .union(
    [z.int(), z.string().max(MAX_REQ_ID_LENGTH)],
    `must be a whole number or text of at most ${MAX_REQ_ID_LENGTH} characters`,
  )
  .meta({ description: 'Repeated in the answer', example: 1 });
export type ReqId = z.infer<typeof reqId>;

/** Only bounded here: each symbol is judged by itself, so that a bad one spoils no good one. */
const symbolText = z.string().max(MAX_SYMBOL_LENGTH);
const symbols = z
  .union(
    [symbolText, z.array(symbolText).min(1).max(MAX_SYMBOLS_PER_REQUEST)],
    `must be a symbol such as BTC/USDT, or a list of 1 to ${MAX_SYMBOLS_PER_REQUEST} of them`,
  )
  .transform((given) => (typeof given === 'string' ? [given] : [...new Set(given)]))
  .meta({ description: 'One symbol or several', example: ['BTC/USDT', 'ETH/USDT'] });

/** One symbol of a request, as a client may write it, in the unified form. */
export const streamSymbol = tickerQuery.shape.symbol;

const topic = { exchange: tickerQuery.shape.exchange, symbol: symbols };
const interval = ohlcvQuery.shape.interval;

/** As long as an id may be. */
const MAX_SINCE_LENGTH = 64;
const since = z.string().max(MAX_SINCE_LENGTH).optional().meta({
  description:
    'Id of the last event that was seen, with exactly one symbol: what came after it is sent, and a status says with `resumed` how much of it is known',
});

/** How the server and its exchanges are; about no market. */
const healthParams = z.strictObject({ channel: z.literal('health') });

export const subscribeParams = z
  .discriminatedUnion('channel', [
    z.strictObject({
      channel: z.literal('ticker'),
      ...topic,
      threshold: z.number().min(0).max(1).optional().meta({
        description: 'Fraction that last must move before an event is sent; 0: every tick',
        example: 0.001,
      }),
      stats: z.boolean().optional().meta({ description: "true: events tell the venue's last 24 hours" }),
      since,
    }),
    z.strictObject({ channel: z.literal('trades'), ...topic, since }),
    z.strictObject({ channel: z.literal('orderbook'), ...topic, since }),
    z.strictObject({ channel: z.literal('ohlcv'), ...topic, interval, since }),
    healthParams,
  ])
  .meta({ id: 'SubscribeParams' });

const ignored = z.unknown().optional().meta({ description: 'Without meaning here' });

export const unsubscribeParams = z
  .discriminatedUnion('channel', [
    z.strictObject({
      channel: z.literal('ticker'),
      ...topic,
      threshold: ignored,
      stats: ignored,
      since: ignored,
    }),
    z.strictObject({ channel: z.literal('trades'), ...topic, since: ignored }),
    z.strictObject({ channel: z.literal('orderbook'), ...topic, since: ignored }),
    z.strictObject({ channel: z.literal('ohlcv'), ...topic, interval, since: ignored }),
    healthParams,
  ])
  .meta({ id: 'UnsubscribeParams', description: 'A copy of what subscribe was sent ends it' });

const req_id = reqId.optional();

export const subscribeMessage = z
  .strictObject({ method: z.literal('subscribe'), params: subscribeParams, req_id })
  .meta({ id: 'SubscribeMessage' });
export const unsubscribeMessage = z
  .strictObject({ method: z.literal('unsubscribe'), params: unsubscribeParams, req_id })
  .meta({ id: 'UnsubscribeMessage' });
export const pingMessage = z.strictObject({ method: z.literal('ping'), req_id }).meta({ id: 'PingMessage' });
export const listMessage = z.strictObject({ method: z.literal('list'), req_id }).meta({ id: 'ListMessage' });

/** As long as a header may be. */
const MAX_CREDENTIAL_LENGTH = 8192;

export const authMessage = z
  .strictObject({
    method: z.literal('auth'),
    params: z.strictObject({
      token: z.string().min(1).max(MAX_CREDENTIAL_LENGTH).meta({ description: 'A key or an access token' }),
    }),
    req_id,
  })
  .meta({ id: 'AuthMessage' });

/** Everything that a client may say. */
export const clientMessage = z.discriminatedUnion('method', [
  subscribeMessage,
  unsubscribeMessage,
  pingMessage,
  listMessage,
  authMessage,
]);
export type ClientMessage = z.infer<typeof clientMessage>;

/** Present and true while the sandbox is the venue; absent otherwise. */
const sandbox = z.literal(true).optional();

const namedTopic = {
  channel: z.enum(CHANNELS),
  exchange: exchangeName,
  symbol: unifiedSymbol,
  interval: z.string().optional().meta({ description: 'ohlcv only', example: '1m' }),
};

const healthTopic = { channel: z.literal('health') };

export const subscriptionEntry = z
  .union([
    z.object({ ...namedTopic, threshold: z.number().optional(), stats: z.boolean().optional() }),
    z.object(healthTopic),
  ])
  .meta({ id: 'Subscription' });

/** The answer to subscribe and unsubscribe: one a symbol, as soon as it is known. */
export const symbolReply = z
  .object({
    event_type: z.literal('reply'),
    method: z.enum(['subscribe', 'unsubscribe']),
    req_id,
    success: z.boolean(),
    ...namedTopic,
    problem: problem.optional().meta({ description: 'Why not; present where success is false' }),
  })
  .meta({ id: 'SymbolReply' });
/** The answer to subscribe and unsubscribe of the health channel, which always succeed. */
export const healthReply = z
  .object({
    event_type: z.literal('reply'),
    method: z.enum(['subscribe', 'unsubscribe']),
    req_id,
    success: z.literal(true),
    ...healthTopic,
  })
  .meta({ id: 'HealthReply' });
export const pingReply = z
  .object({
    event_type: z.literal('reply'),
    method: z.literal('ping'),
    req_id,
    success: z.literal(true),
    timestamp,
  })
  .meta({ id: 'PingReply' });
export const listReply = z
  .object({
    event_type: z.literal('reply'),
    method: z.literal('list'),
    req_id,
    success: z.literal(true),
    subscriptions: z.array(subscriptionEntry),
  })
  .meta({ id: 'ListReply' });

export const authReply = z
  .object({
    event_type: z.literal('reply'),
    method: z.literal('auth'),
    req_id,
    success: z.literal(true),
  })
  .meta({ id: 'AuthReply' });

/** A request that could not be read or served as a whole, or the reason of a close that follows. */
export const errorEvent = z
  .object({
    event_type: z.literal('error'),
    ...problem.shape,
    method: z.string().optional(),
    req_id,
    sandbox,
  })
  .meta({ id: 'ErrorEvent' });

/**
 * Trades (or closed candles) that a slow reader did not get, that came to light after later ones had been shown (`count`),
 * or a stretch of time after a break of which REST has not all any more (`from`, `to`). They are gone from this stream.
 */
export const lostEvent = z
  .object({
    event_type: z.literal('lost'),
    ...namedTopic,
    channel: z.enum(['trades', 'ohlcv']),
    interval: z.string().optional().meta({ description: 'Of candles' }),
    count: z
      .int()
      .positive()
      .optional()
      .meta({ description: 'Trades (or candles) lost since the event before' }),
    from: z.int().optional().meta({ description: 'Begin of a stretch of which rows are missing (ms)' }),
    to: z.int().optional().meta({ description: 'End of that stretch (ms)' }),
    timestamp,
    sandbox,
  })
  .meta({ id: 'LostEvent' });
