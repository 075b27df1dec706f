/** Every bound of the client side of the streams, in one place. Durations in ms, sizes in bytes. */

/** Unsent bytes of one socket above which its reader counts as slow: about 250 tickers behind. */
export const MAX_SOCKET_BYTES = 64 * 1024;
/** A catching-up reader gets its backlog in writes of about this size. */
export const BATCH_BYTES = 32 * 1024;
/** Events of one turn of the event loop that are collected for one client before they are written anyway. */
export const MAX_DUE_EVENTS = 1024;
/** Events that may not replace each other (trades, closed candles, replies) kept for a slow reader. */
export const MAX_ORDERED_BACKLOG = 256;
/** … and their bytes: a reply that lists all subscriptions of a client has about 20 kB. */
export const MAX_ORDERED_BYTES = 512 * 1024;
/** Events of a subscription that may come in before its client has the answer that it succeeded. */
export const MAX_HELD_EVENTS = 256;

/** A reader whose socket has not drained, or whose pong is overdue, for so long is closed. */
export const STUCK_AFTER = 10_000;
/** A pong this much overdue makes a reader a slow one: the kernel hides megabytes that `writableLength` never shows. */
export const LAGGING_AFTER = 3_000;
/** Between two pings of a client that is being written to. */
export const PING_INTERVAL = 5_000;
/** Between two pings of a client that gets nothing. */
export const IDLE_PING_INTERVAL = 30_000;
/** Between two sweeps over all connections for stuck ones. */
export const SWEEP_INTERVAL = 1_000;
/** From a close frame (or the end of an event stream) to the socket's destruction. */
export const CLOSE_GRACE = 2_000;
/** When a client that was refused because all slots are taken may come again. */
export const RETRY_WHEN_FULL = 5_000;
/** SSE's `retry:` hint: after how long a browser reconnects. */
export const SSE_RETRY = 3_000;

/** Of all /ws clients together, about 5 kB each; one address may have half of them. */
export const MAX_SERVER_SUBSCRIPTIONS = 100_000;
/** Of one /ws client. */
export const MAX_SUBSCRIPTIONS = 200;
/** Largest message that a WebSocket client may send; larger ones close it with 1009. */
export const MAX_CLIENT_MESSAGE_BYTES = 16 * 1024;
/** A client's messages: so many at once … */
export const MESSAGE_BURST = 60;
/** … and so many a second over time. */
export const MESSAGES_PER_SECOND = 20;
/** Symbols that its messages name: so many at once … */
export const SYMBOL_BURST = 2 * MAX_SUBSCRIPTIONS;
/** … and so many a second over time. Each costs a look-up at the venue's worker, most where the venue has no such symbol. */
export const SYMBOLS_PER_SECOND = 20;
/** Malformed or excess messages after which a client is closed with 1008. */
export const MAX_VIOLATIONS = 20;
/** … of which so many are forgotten a second. */
export const VIOLATIONS_FORGOTTEN_PER_SECOND = 0.2;
