/** A client that follows the trades of many symbols for long: it judges each event as it comes, and keeps only the last. */
import type { WebSocket } from 'ws';
import { steadyNow } from '../../src/lib/steady-clock.js';
import type { MarketTruth } from '../../src/sandbox/market.js';
import { openSocket, subscribePatiently } from '../support/patient-socket.js';

interface WireTrade {
  readonly trade_id: string;
  readonly price: number;
  readonly amount: number;
  readonly timestamp: number;
}
interface WireEvent {
  readonly event_type: string;
  readonly symbol: string;
  readonly id?: string;
  readonly trades?: readonly WireTrade[];
  readonly state?: string;
  readonly count?: number;
}

/** What is known of a symbol. */
interface Seen {
  state: string;
  /** Of the last trade. */
  number: number | null;
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

export class TradesWitness {
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

  static async open(url: string, symbols: readonly string[], truth: MarketTruth): Promise<TradesWitness> {
    const socket = await openSocket(url);
    const witness = new TradesWitness(socket, truth);
    subscribePatiently(socket, { channel: 'trades', symbol: symbols });
    return witness;
  }

  close(): void {
    this.#socket.terminate();
  }

  of(symbol: string): Readonly<Seen> {
    return this.#of(symbol);
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

  #of(symbol: string): Seen {
    let seen = this.#seen.get(symbol);
    if (seen === undefined) {
      seen = {
        ...{ state: '', number: null, timestamp: 0, fence: 0, seq: 0 },
        ...{ fenceAt: 0, reconnectingAt: -Infinity, missing: 0, told: 0, holes: 0 },
      };
      this.#seen.set(symbol, seen);
    }
    return seen;
  }

  #fault(text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(text);
  }

  #receive({ event_type: type, symbol, id, trades = [], state, count = Infinity }: WireEvent): void {
    if (type === 'lost') this.#of(symbol).told += count;
    if (type === 'status' && state !== undefined) {
      const seen = this.#of(symbol);
      seen.state = state;
      if (state === 'reconnecting') seen.reconnectingAt = steadyNow();
    }
    if (type !== 'trades') return;
    this.events += 1;
    const seen = this.#of(symbol);
    const isNewFence = this.#identify(symbol, seen, id ?? '');
    const isFirst = seen.number === null;
    for (const { trade_id: text, timestamp } of trades) {
      const number = Number(text);
      if (seen.number !== null) {
        if (number <= seen.number) this.#fault(`${symbol}: trade ${number} after ${seen.number}`);
        else if (isFirst) seen.holes += number - seen.number - 1;
        else seen.missing += number - seen.number - 1;
      }
      if (timestamp < seen.timestamp)
        this.#fault(`${symbol}: a trade of ${timestamp} after ${seen.timestamp}`);
      seen.number = number;
      seen.timestamp = timestamp;
    }
    this.trades += trades.length;
    if (isNewFence || this.events % COMPARED === 0) this.#compare(symbol, trades);
  }

  /** Ids rise, so that none comes twice. Whether this one is the first under its fence. */
  #identify(symbol: string, seen: Seen, id: string): boolean {
    const [, fence, seq] = /^(\d+)-(\d+)$/.exec(id) ?? [];
    // Of a server that feeds itself.
    if (fence === undefined) return false;
    const [now, at] = [Number(fence), Number(seq)];
    if (now < seen.fence || (now === seen.fence && at <= seen.seq))
      this.#fault(`${symbol}: event ${id} after ${seen.fence}-${seen.seq}`);
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
