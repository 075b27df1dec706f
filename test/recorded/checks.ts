/** What a venue's table says: which request a recording answers, and which of its members is what. */
import type { Path, Read, Time } from './payload.js';

/** Tested against `/host/path?query body`; the recording, or what is made of several. */
export type Route = readonly [
  on: RegExp,
  answer: string | ((recording: (file: string) => unknown) => unknown),
];

interface CheckBase {
  readonly symbol: string;
  /** The recording, without `.json`. */
  readonly file: string;
  /** The request that it answers; a feed sends it once it is subscribed. */
  readonly on?: RegExp;
  /** Where in the answer the object or the list of rows is; default: the whole answer. */
  readonly of?: Path | ((answer: unknown) => unknown);
  /** The envelope of the request that is made today, around what was recorded. */
  readonly answer?: (recording: unknown) => unknown;
  /** Other names that the payload's market has in this replay (it was recorded for another one). */
  readonly rename?: readonly (readonly [from: string, to: string])[];
  /** Fields that are known to differ, each with the reason. */
  readonly except?: Readonly<Record<string, string>>;
  /** What a feed sends when a frame comes; default: the recording, once. */
  readonly send?: (frame: unknown, recording: unknown) => readonly unknown[];
  /** Over the feed. */
  readonly feed?: true;
  /** Before anything comes from the client. */
  readonly greet?: readonly unknown[];
}

export interface TickerCheck extends CheckBase {
  readonly kind: 'ticker';
  readonly bid: Read | null;
  readonly ask: Read | null;
  readonly last: Read | null;
  /** null: the venue gives none. */
  readonly time: Time | null;
  /** Moments in the answer that are not the ticker's, each with what they are; `*` for any place in a list. */
  readonly otherTimes?: Readonly<Record<Path, string>>;
  /** Where the venue's own object is; default: `of`. */
  readonly raw?: Path | ((answer: unknown) => unknown);
}

export interface BookCheck extends CheckBase {
  readonly kind: 'orderbook';
  readonly bids: Path | ((answer: unknown) => unknown);
  readonly asks: Path | ((answer: unknown) => unknown);
  readonly price: Read;
  readonly amount: Read;
  readonly time: Time | null;
  readonly otherTimes?: Readonly<Record<Path, string>>;
}

export interface TradesCheck extends CheckBase {
  readonly kind: 'trades';
  readonly id: Read | null;
  readonly price: Read;
  readonly amount: Read;
  readonly time: Time;
  /** The taker's, by the venue's documentation. */
  readonly side: { readonly at: Read; readonly buy: unknown; readonly sell: unknown };
}

export interface CandlesCheck extends CheckBase {
  readonly kind: 'ohlcv';
  readonly interval: string;
  readonly time: Time;
  readonly open: Read;
  readonly high: Read;
  readonly low: Read;
  readonly close: Read;
  readonly volume: Read;
}

export type Check = TickerCheck | BookCheck | TradesCheck | CandlesCheck;

export interface VenueTable {
  readonly exchange: string;
  /** Lists of markets and currencies. */
  readonly routes: readonly Route[];
  /** Answers that nobody recorded, empty ones of their kind. */
  readonly empty?: readonly (readonly [on: RegExp, answer: unknown])[];
  readonly checks: readonly Check[];
}
