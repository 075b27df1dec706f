/** The one-symbol streams: GET /v1/stream/ticker and WS /ws/ticker differ in their transport only. */
import { AppError } from '../../errors.js';
import type { ExchangeId } from '../../schemas/common.js';
import type { MarketData } from '../../market-data/market-data-api.js';
import type { StreamHub, Subscription } from '../hub-api.js';
import { type Connection, type ConnectionKind, type Peer, TopicReader } from './connection.js';
import type { Connections } from './connections.js';
import type { ClientSocket } from './outbox.js';

export interface TickerStreamServices {
  readonly hub: StreamHub;
  readonly marketData: Pick<MarketData, 'resolveExchange'>;
  readonly connections: Connections;
}

export interface TickerStreamRequest {
  readonly kind: ConnectionKind;
  readonly socket: ClientSocket;
  /** The client, as limits count it. */
  readonly client: string;
  /** As the client words it, lower case. */
  readonly exchange: string;
  readonly symbol: string;
  readonly threshold?: number | undefined;
  readonly stats?: boolean | undefined;
  readonly lastEventId?: string | undefined;
}

export interface TickerStream {
  readonly connection: Connection;
  readonly exchange: ExchangeId;
  readonly via: Subscription['via'];
  readonly resumedAfter: Subscription['resumedAfter'];
  /**
   * Begins the stream: what `open` writes, the snapshot that is already here, then updates. Throws `shutting_down`
   * before `open` is called, and what `open` throws.
   */
  readonly start: (open: () => Peer) => void;
}

/**
 * Subscribes, but sends nothing before `start`: until then every fault can still be an HTTP answer. Rejects with an
 * AppError. The client may leave at any moment; its slot and its subscription are then released.
 */
export const openTickerStream = async (
  { hub, marketData, connections }: TickerStreamServices,
  request: TickerStreamRequest,
): Promise<TickerStream> => {
  const { name, exchange } = marketData.resolveExchange(request.exchange);
  const connection = connections.admit(request.kind, request.socket, request.client);
  const topic = { channel: 'ticker', exchange, symbol: request.symbol } as const;
  const leaving = new AbortController();
  connection.onEnd = () => {
    leaving.abort();
  };
  const reader = new TopicReader(connection, { ...topic, exchange: name }, connections);
  let subscription: Subscription;
  try {
    await connection.confirmed;
    const { threshold, stats, lastEventId, client } = request;
    const { signal } = leaving;
    subscription = await hub.subscribe(
      { topic, name, threshold, stats, lastEventId, client, signal },
      reader,
    );
    reader.spell(subscription.symbol);
    const opened = subscription;
    if (connection.ended) opened.close();
    else
      connection.onEnd = () => {
        opened.close();
      };
    reader.checkHeld();
  } catch (error) {
    connection.abandon();
    throw AppError.from(error);
  }
  const start = (open: () => Peer): void => {
    connection.attach(open);
    reader.release();
  };
  const { via, resumedAfter } = subscription;
  return { connection, exchange, via, resumedAfter, start };
};
