/** The streams as an AsyncAPI 3 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0), from zod. */
import { z } from 'zod';
import type { AuthMode } from './access.js';
import { candle, priceLevel, trade, tickerStats } from './market.js';
import { problem } from './problem.js';
import { tickerStreamQuery } from './query.js';
import { serverStatus } from './status.js';
import {
  authMessage,
  authReply,
  errorEvent,
  healthReply,
  listMessage,
  listReply,
  lostEvent,
  pingMessage,
  pingReply,
  subscribeMessage,
  subscribeParams,
  subscriptionEntry,
  symbolReply,
  unsubscribeMessage,
  unsubscribeParams,
} from './stream-protocol.js';
import {
  healthEvent,
  heartbeatEvent,
  ohlcvEvent,
  orderBookEvent,
  statusEvent,
  tickerEvent,
  tradesEvent,
} from './stream.js';

const REQUESTS = {
  SubscribeMessage: 'Subscribe to one channel of one exchange for one symbol or several',
  UnsubscribeMessage: 'End subscriptions; a subscription that is not there counts as ended',
  PingMessage: 'Ask for a sign of life',
  ListMessage: 'Ask for the subscriptions of this connection',
  AuthMessage:
    'Bring a credential: the first message where the upgrade brought none, and to renew one that expires',
};
const TICKER_EVENTS = {
  TickerEvent: 'The first is a snapshot; then one whenever last has moved by the threshold',
  StatusEvent: "The upstream's state has changed; also sent once at the start",
  HeartbeatEvent: 'Sent at a fixed interval, whatever the market does',
};
const OTHER_EVENTS = {
  TradesEvent: 'New trades, each exactly once; the first event holds the latest ones',
  OrderBookEvent: 'Snapshot of the top levels whenever they change, at most every 100 ms',
  OhlcvEvent: 'Candles that have changed or closed',
  HealthEvent: 'How the server and its exchanges are: at once and on change, at most one a second',
  LostEvent: 'This reader was too slow: so many trades were not sent to it',
  ErrorEvent: 'A message that could not be served, or why the connection is being closed',
  SymbolReply: 'Answer to subscribe and unsubscribe, one a symbol',
  HealthReply: 'Answer to subscribe and unsubscribe of the health channel',
  PingReply: 'Answer to ping',
  ListReply: 'Answer to list',
  AuthReply: 'Answer to auth; a credential that is not good ends the connection',
};

/** The parts of a status that have names of their own. */
const { features, exchanges, ledger, cluster } = serverStatus.shape;
const exchangeStatus = exchanges.element;
const ledgerStatus = ledger.unwrap();
const clusterStatus = cluster.unwrap();

const sent = {
  TickerEvent: tickerEvent,
  StatusEvent: statusEvent,
  HeartbeatEvent: heartbeatEvent,
  TradesEvent: tradesEvent,
  OrderBookEvent: orderBookEvent,
  OhlcvEvent: ohlcvEvent,
  HealthEvent: healthEvent,
  LostEvent: lostEvent,
  ErrorEvent: errorEvent,
  SymbolReply: symbolReply,
  HealthReply: healthReply,
  PingReply: pingReply,
  ListReply: listReply,
  AuthReply: authReply,
  Subscription: subscriptionEntry,
  Problem: problem,
  Trade: trade,
  PriceLevel: priceLevel,
  Candle: candle,
  TickerStats: tickerStats,
  Features: features,
  ExchangeStatus: exchangeStatus,
  FeedCounts: exchangeStatus.shape.feeds,
  BudgetStatus: exchangeStatus.shape.budget,
  LedgerStatus: ledgerStatus,
  BackfillCounts: ledgerStatus.shape.jobs,
  ClusterStatus: clusterStatus,
  ClusterServer: clusterStatus.shape.servers.element,
  ClusterTopic: clusterStatus.shape.owned.element,
};
const received = {
  SubscribeMessage: subscribeMessage,
  UnsubscribeMessage: unsubscribeMessage,
  PingMessage: pingMessage,
  ListMessage: listMessage,
  AuthMessage: authMessage,
  SubscribeParams: subscribeParams,
  UnsubscribeParams: unsubscribeParams,
};

const componentRef = (id: string): string => `#/components/schemas/${id}`;

/** A schema inside a document needs neither its dialect nor its own address. */
const withoutNames = (schema: object): object =>
  Object.fromEntries(Object.entries(schema).filter(([name]) => name !== '$schema' && name !== '$id'));

/** JSON Schemas that refer to each other by name, as AsyncAPI's components hold them. */
const jsonSchemas = (named: Record<string, z.ZodType>, io: 'input' | 'output'): Record<string, object> => {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io, target: 'draft-7', uri: componentRef });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutNames(schema)]));
};

/** The query of the one-symbol streams, as it stands in a URL. */
const queryJsonSchema = (): object =>
  withoutNames(z.toJSONSchema(tickerStreamQuery, { io: 'input', target: 'draft-7' }));

const refs = (prefix: string, names: object): { $ref: string }[] =>
  Object.keys(names).map((name) => ({ $ref: `${prefix}/${name}` }));

const messageRefs = (names: object): Record<string, { $ref: string }> =>
  Object.fromEntries(Object.keys(names).map((name) => [name, { $ref: `#/components/messages/${name}` }]));

const messages = (names: Record<string, string>): Record<string, object> =>
  Object.fromEntries(
    Object.entries(names).map(([name, summary]) => [
      name,
      { name, summary, contentType: 'application/json', payload: { $ref: componentRef(name) } },
    ]),
  );

const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', description: 'A key, or a token of a trusted issuer' },
  apiKey: { type: 'httpApiKey', in: 'header', name: 'X-API-Key', description: 'The same in another header' },
  ticket: {
    type: 'httpApiKey',
    in: 'query',
    name: 'ticket',
    description: 'For browsers: made by POST /v1/tickets, for one connection within seconds',
  },
};

/** AsyncAPI has neither scopes of such schemes nor a way to say that a credential may be left out: these words do. */
const ACCESS_TOLD = {
  off: '',
  optional:
    ' A credential with the scope stream:read may be left out: the plan of callers without one holds then.',
  required:
    ' Every stream asks for a credential with the scope stream:read. /ws opens without one too, and takes it as its first message (auth) within 5 s.',
};

export interface AsyncApiOptions {
  /** Of the server. */
  readonly version: string;
  /** Of the servers that are described. */
  readonly mode: AuthMode;
}

export const asyncApiDocument = ({ version, mode }: AsyncApiOptions): object => {
  const secured = mode === 'off' ? {} : { security: refs('#/components/securitySchemes', SECURITY_SCHEMES) };
  const streamEvents = { ...TICKER_EVENTS, ...OTHER_EVENTS };
  const wsQuery = { ws: { method: 'GET', query: queryJsonSchema(), bindingVersion: '0.1.0' } };
  const operation = (action: 'send' | 'receive', channel: string, names: object) => ({
    action,
    channel: { $ref: `#/channels/${channel}` },
    messages: refs(`#/channels/${channel}/messages`, names),
    ...secured,
  });
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'mcp-crypto-data-server streams',
      version,
      description: `Live normalized market data over Server-Sent Events and WebSocket. Silence always means a quiet market: heartbeats and status events tell it from a dead feed.${ACCESS_TOLD[mode]}`,
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
    },
    defaultContentType: 'application/json',
    channels: {
      tickerEvents: {
        address: '/v1/stream/ticker',
        title: 'One ticker as Server-Sent Events',
        description:
          "Each message is the data of one unnamed event. A fault before the stream begins is an application/problem+json answer. Last-Event-ID is honoured; a server's restart ends the stream, and the client reconnects.",
        messages: messageRefs(TICKER_EVENTS),
      },
      tickerSocket: {
        address: '/ws/ticker',
        title: 'One ticker over WebSocket',
        description:
          'One text message an event. Close codes: 1008 policy, 1011 fault, 1012 restart, 1013 try again.',
        messages: messageRefs(TICKER_EVENTS),
        bindings: wsQuery,
      },
      socket: {
        address: '/ws',
        title: 'Many subscriptions over one WebSocket',
        description:
          'Requests and answers carry the same req_id. Close codes as on /ws/ticker. Trades are never conflated: a reader that cannot keep up is told how many it lost.',
        messages: messageRefs({ ...REQUESTS, ...streamEvents }),
        bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
      },
    },
    operations: {
      sendTickerEvents: {
        ...operation('send', 'tickerEvents', TICKER_EVENTS),
        bindings: { http: { method: 'GET', query: queryJsonSchema(), bindingVersion: '0.3.0' } },
      },
      sendTickerSocket: operation('send', 'tickerSocket', TICKER_EVENTS),
      sendSocketEvents: operation('send', 'socket', streamEvents),
      receiveSocketRequests: operation('receive', 'socket', REQUESTS),
    },
    components: {
      ...(mode === 'off' ? {} : { securitySchemes: SECURITY_SCHEMES }),
      messages: messages({ ...REQUESTS, ...streamEvents }),
      schemas: { ...jsonSchemas(sent, 'output'), ...jsonSchemas(received, 'input') },
    },
  };
};
