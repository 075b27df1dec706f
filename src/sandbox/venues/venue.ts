// What the sandbox's servers need to know of a venue: its hosts, how it answers a request, and its feed.
import { type Millis } from '../intervals.js';
import { type Market, type VenueId } from '../listings.js';

/** What a request asks for; faults can be aimed at a kind. */
export type RequestKind =
  'ticker' | 'tickers' | 'ohlcv' | 'orderbook' | 'trades' | 'markets' | 'currencies' | 'time' | 'other';

export interface VenueRequest {
  readonly method: string;
  /** Without the host segment, as the venue would see it. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The sandbox's time of receipt. */
  readonly now: Millis;
}

export interface VenueReply {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Faults that every venue words in its own way. */
export const VENUE_ERRORS = [
  'rate_limit',
  'unknown_symbol',
  'bad_interval',
  'unavailable',
  'maintenance',
  'geo_block',
  'auth',
] as const;
export type VenueErrorName = (typeof VENUE_ERRORS)[number];

/** Where the rows of an answer of candles are, and what is where in a row. */
export interface CandleShape {
  /** Of the start, which is a row's first member. */
  readonly unitMs: Millis;
  /** Members that are times, the start among them. */
  readonly timesAt: readonly number[];
  readonly volumeAt: number;
  /** undefined: a refusal, no candles. */
  readonly rows: (body: unknown) => readonly (readonly unknown[])[] | undefined;
  readonly withRows: (body: unknown, rows: readonly (readonly unknown[])[]) => unknown;
}

/** Of an answer that is the list of rows. */
export const BARE_ROWS: Pick<CandleShape, 'rows' | 'withRows'> = {
  rows: (body) => (Array.isArray(body) ? (body as unknown[][]) : undefined),
  withRows: (_body, rows) => rows,
};

export interface RestVenue {
  readonly id: VenueId;
  /** Real host names, without a port. */
  readonly hosts: readonly string[];
  readonly kindOf: (path: string, query: URLSearchParams) => RequestKind;
  /** Absent: it has no candles. */
  readonly candles?: CandleShape;
  readonly handle: (request: VenueRequest) => VenueReply;
  readonly errors: Readonly<Record<VenueErrorName, VenueReply>>;
}

/**
 * What can go wrong with an update of an order book: it is lost, comes twice, or after the next one; an amount in it is
 * wrong, its checksum is, a level is in it that is in no book; or its numbers stop where they are.
 */
export const BOOK_FAULTS = ['lose', 'repeat', 'reorder', 'corrupt', 'checksum', 'ghost', 'stuck'] as const;
export type BookFault = (typeof BOOK_FAULTS)[number];

export interface BookAlteration {
  readonly fault: BookFault;
  /** The first frame that the fault met, for numbers that stop. */
  readonly first: string;
  readonly time: Millis;
}

/** One stream of frames about one market, shared by all sockets that subscribe to it. */
export interface Channel {
  readonly market: Market;
  /** Of order books, whose updates can be lost (`gap`) or faulty. */
  readonly book?: {
    /**
     * Frames in the place of a lost update, where the loss alone would show by chance only: the part of it that arrived.
     * A reader who applies them has a book that can be seen to be wrong.
     */
    readonly tornUpdate?: (time: Millis, since: Millis) => readonly string[];
    /** The same update with this fault in it. A fault that the venue's updates can't have changes nothing. */
    readonly alter: (frame: string, alteration: BookAlteration) => string;
  };
  /** Frames for a socket that joins; the time is that of the last update, so that the next one follows on. */
  readonly snapshot?: (time: Millis) => readonly string[];
  /** Frames for everybody, telling what happened in (since, time]. */
  readonly update: (time: Millis, since: Millis) => readonly string[];
}

/** A socket as a venue's protocol sees it. */
export interface FeedSocket {
  /** Sends a frame that is not part of a channel: an acknowledgement, an error, a pong. */
  readonly reply: (frame: string) => void;
  /** False if there is no such channel. Joining twice changes nothing. */
  readonly join: (channel: string) => boolean;
  readonly leave: (channel: string) => void;
  readonly channels: () => readonly string[];
}

export interface FeedVenue {
  readonly id: VenueId;
  readonly hosts: readonly string[];
  /** Called for a new socket with the path it asked for. */
  readonly open?: (socket: FeedSocket, path: string, query: URLSearchParams) => void;
  readonly message: (socket: FeedSocket, text: string, now: Millis) => void;
  /** Makes the channel of a key; undefined if there is none of that name. */
  readonly channel: (key: string) => Channel | undefined;
  /** Wraps a channel's frame for sockets opened at this path (Binance's combined streams). */
  readonly wrap?: (path: string, channel: string, frame: string) => string;
  /** Sent after a second without another frame (Kraken). */
  readonly heartbeat?: string;
}

export const json = (body: unknown, status = 200): VenueReply => ({ status, body: JSON.stringify(body) });

/** The page a content delivery network shows to a blocked country or client. */
export const blockPage = (status: number, host: string): VenueReply => ({
  status,
  headers: { 'content-type': 'text/html; charset=UTF-8' },
  body: `<!DOCTYPE html><html><head><title>Access denied | ${host}</title></head><body><h1>Error ${status}</h1><p>The owner of this website (${host}) has banned the country or region your IP address is in from accessing this website.</p></body></html>`,
});

/** A whole number from a query; undefined if absent, null if it is not one. */
export function integer(query: URLSearchParams, name: string): number | null | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  return /^\d{1,20}$/.test(text) ? Number(text) : null;
}
