/**
 * Ids of events that a cluster shares: `<fence>-<seq>`, the same on every server. A fence belongs to one topic and one
 * owner; within it `seq` rises.
 */
export type EventId = string;

interface EventIdParts {
  readonly fence: number;
  readonly seq: number;
}

const SHARED = /^(\d{1,15})-(\d{1,15})$/;

/** null: another form of id. */
const parseEventId = (id: string): EventIdParts | null => {
  const match = SHARED.exec(id);
  return match === null ? null : { fence: Number(match[1]), seq: Number(match[2]) };
};

/** Negative where `a` came before `b`, 0 where they are the same. Both must be shared ids; any other counts as the oldest. */
export const compareEventIds = (a: string, b: string): number => {
  const [left, right] = [parseEventId(a), parseEventId(b)];
  if (left === null || right === null) return (left === null ? 0 : 1) - (right === null ? 0 : 1);
  return left.fence - right.fence || left.seq - right.seq;
};
