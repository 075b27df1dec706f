/** A client that follows trades and tickers of many symbols for long: it judges each event as it comes, and keeps only the last. */
import type { WebSocket } from 'ws';
import { steadyNow } from '../../src/lib/steady-clock.js';
import type { MarketTruth } from '../../src/sandbox/market.js';
import { openSocket, subscribePatiently } from '../support/patient-socket.js';

type Channel = 'trades' | 'ticker';
export interface Topic {
  readonly channel: Channel;
  readonly symbol: string;
}

export const tradesOf = (symbols: readonly string[]): Topic[] =>
  symbols.map((symbol) => ({ channel: 'trades', symbol }));

interface WireTrade {
  readonly trade_id: string;
  readonly price: number;
  readonly amount: number;
  readonly timestamp: number;
}
interface WireEvent {
  readonly event_type: string;
  readonly channel?: Channel;
  readonly symbol: string;
  /** Of a ticker. */
  readonly timestamp?: number;
  readonly id?: string;
  readonly trades?: readonly WireTrade[];
  readonly state?: string;
  readonly count?: number;
}

/** What is known of a topic. */
interface Seen {
  state: string;
  /** Whether anything of it was shown. */
  isShown: boolean;
  /** Of the last trade. */
  number: number | null;
  /** Of the last trade or ticker. */
  timestamp: number;
  /** Of the last shared event: `fence`-`seq`. */
  fence: number;
  seq: number;
  /** When the first event of that fence came. */
  fenceAt: number;
  /** When the feed was last said to be away. */
  reconnectingAt: number;
  missing: number;
  told: number;
  /** Trades that are missing within the first event, which shows the latest ones. */
  holes: number;
}

/** One event in so many is compared with what was truly traded, and the first under each fence. */
const COMPARED = 20;
const MAX_FAULTS = 20;

export class FeedWitness {
  readonly #socket: WebSocket;
  readonly #truth: MarketTruth;
  readonly #seen = new Map<string, Seen>();
  /** What must not be, in words. */
  readonly faults: string[] = [];
  events = 0;
  trades = 0;
  compared = 0;

  private constructor(socket: WebSocket, truth: MarketTruth) {
    this.#socket = socket;
    this.#truth = truth;
    socket.on('message', (data: Buffer) => this.#receive(JSON.parse(data.toString()) as WireEvent));
  }

  static async open(url: string, topics: readonly Topic[], truth: MarketTruth): Promise<FeedWitness> {
    const witness = new FeedWitness(await openSocket(url), truth);
    witness.follow(topics);
    return witness;
  }

  follow(topics: readonly Topic[]): void {
    for (const [channel, params] of [
      ['trades', {}],
      ['ticker', { threshold: 0 }],
    ] as const) {
      const symbol = topics.filter((topic) => topic.channel === channel).map((topic) => topic.symbol);
      if (symbol.length > 0) subscribePatiently(this.#socket, { channel, symbol, ...params });
    }
  }

  close(): void {
    this.#socket.terminate();
  }

  of({ channel, symbol }: { readonly channel: string; readonly symbol: string }): Readonly<Seen> {
    return this.#of(`${channel} ${symbol}`);
  }

  /** Trades that are missing, and of how many it was not told. */
  missing(): { readonly trades: number; readonly untold: string[] } {
    const all = [...this.#seen];
    return {
      trades: all.reduce((sum, [, { missing }]) => sum + missing, 0),
      untold: all
        .filter(([, { missing, told }]) => missing > told)
        .map(([symbol, { missing, told }]) => `${symbol}: ${missing} missing, ${told} told`),
    };
  }

  get holes(): number {
    return [...this.#seen.values()].reduce((sum, { holes }) => sum + holes, 0);
  }

  #of(topic: string): Seen {
    let seen = this.#seen.get(topic);
    if (seen === undefined) {
      seen = {
        ...{ state: '', isShown: false, number: null, timestamp: 0, fence: 0, seq: 0 },
        ...{ fenceAt: 0, reconnectingAt: -Infinity, missing: 0, told: 0, holes: 0 },
      };
      this.#seen.set(topic, seen);
    }
    return seen;
  }

  #fault(text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(text);
  }

  #receive({ event_type: type, channel = 'ticker', symbol, id = '', ...event }: WireEvent): void {
    if (type === 'lost') this.#of(`${channel} ${symbol}`).told += event.count ?? Infinity;
    if (type === 'status' && event.state !== undefined) {
      const seen = this.#of(`${channel} ${symbol}`);
      seen.state = event.state;
      if (event.state === 'reconnecting') seen.reconnectingAt = steadyNow();
    }
    if (type !== 'trades' && type !== 'ticker') return;
    this.events += 1;
    const topic = `${type} ${symbol}`;
    const seen = this.#of(topic);
    seen.isShown = true;
    const isNewFence = this.#identify(topic, seen, id);
    if (type === 'ticker') this.#inOrder(topic, seen, event.timestamp ?? NaN);
    else {
      const { trades = [] } = event;
      this.#receiveTrades(symbol, seen, trades);
      if (isNewFence || this.events % COMPARED === 0) this.#compare(symbol, trades);
    }
  }

  /** No older price is shown. */
  #inOrder(topic: string, seen: Seen, timestamp: number): void {
    if (!(timestamp >= seen.timestamp)) this.#fault(`${topic}: ${timestamp} after ${seen.timestamp}`);
    seen.timestamp = timestamp;
  }

  #receiveTrades(symbol: string, seen: Seen, trades: readonly WireTrade[]): void {
    const isFirst = seen.number === null;
    for (const { trade_id: text, timestamp } of trades) {
      const number = Number(text);
      if (seen.number !== null) {
        if (number <= seen.number) this.#fault(`${symbol}: trade ${number} after ${seen.number}`);
        else if (isFirst) seen.holes += number - seen.number - 1;
        else seen.missing += number - seen.number - 1;
      }
      this.#inOrder(symbol, seen, timestamp);
      seen.number = number;
    }
    this.trades += trades.length;
  }

  /** Ids rise, so that none comes twice. Whether this one is the first under its fence. */
  #identify(topic: string, seen: Seen, id: string): boolean {
    const [, fence, seq] = /^(\d+)-(\d+)$/.exec(id) ?? [];
    // Of a server that feeds itself.
    if (fence === undefined) return false;
    const [now, at] = [Number(fence), Number(seq)];
    if (now < seen.fence || (now === seen.fence && at <= seen.seq))
      this.#fault(`${topic}: event ${id} after ${seen.fence}-${seen.seq}`);
    const isNew = now !== seen.fence;
    if (isNew) seen.fenceAt = steadyNow();
    seen.fence = now;
    seen.seq = at;
    return isNew;
  }

  #compare(symbol: string, trades: readonly WireTrade[]): void {
    const [from, to] = [trades[0]?.timestamp ?? 0, trades.at(-1)?.timestamp ?? 0];
    const truth = new Map(
      this.#truth.trades('binance', symbol, { from, to }).map((trade) => [trade.id, trade]),
    );
    for (const { trade_id: id, price, amount, timestamp } of trades) {
      const real = truth.get(id);
      if (real?.price !== price || real.amount !== amount || real.timestamp !== timestamp)
        this.#fault(`${symbol}: trade ${id} at ${price} × ${amount}, in truth ${JSON.stringify(real)}`);
    }
    this.compared += trades.length;
  }
}
