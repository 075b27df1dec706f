/**
 * Ids of events. A server that shares its feeds uses `<fence>-<seq>`, the same on every server of its cluster; one that does
 * not uses `u<server_id>.<n>`, which no other server mistakes for its own. Either names an epoch, which is one topic's and
 * one feed's, and a place in it: `seq` counts trades and candles one by one, so that two ids tell how many lie between them.
 */
export type EventId = string;

/** Of a topic: an id for an event of so many rows. */
export type NextEventId = (rows: number) => EventId;

export interface EventPosition {
  readonly epoch: string;
  readonly seq: number;
}

const SEQ_DIGITS = 10;
const SHARED = /^(\d{1,15})-(\d{1,15})$/;
const UNSHARED = new RegExp(`^(u\\w{1,32}\\.\\d{14,20})(\\d{${SEQ_DIGITS}})$`);

/** null: no id of this server's or of one like it. */
export const positionOf = (id: EventId): EventPosition | null => {
  const [, epoch, seq] = SHARED.exec(id) ?? UNSHARED.exec(id) ?? [];
  return epoch === undefined ? null : { epoch, seq: Number(seq) };
};

const sharedPositionOf = (id: EventId): EventPosition | null => (SHARED.test(id) ? positionOf(id) : null);

/** Negative where `a` came before `b`, 0 where they are the same. Both must be shared ids; any other counts as the oldest. */
export const compareEventIds = (a: EventId, b: EventId): number => {
  const [left, right] = [sharedPositionOf(a), sharedPositionOf(b)];
  if (left === null || right === null) return (left === null ? 0 : 1) - (right === null ? 0 : 1);
  return Number(left.epoch) - Number(right.epoch) || left.seq - right.seq;
};

/**
 * Ids of feeds that are nobody else's; each call of the answer begins an epoch. `n` is the start of the server (13 digits, ms),
 * the number of the feed, and the place in it (10 digits): it repeats neither in a server's life nor in that of the next one
 * with the same `SERVER_ID`. At most 64 characters for ten million feeds.
 */
export const createUnsharedIds = (serverId: string, startedAt: number): (() => NextEventId) => {
  let feeds = 0;
  return () => {
    feeds += 1;
    const epoch = `u${serverId}.${Math.trunc(startedAt)}${feeds}`;
    let seq = 0;
    return (rows) => `${epoch}${String((seq += rows)).padStart(SEQ_DIGITS, '0')}`;
  };
};
