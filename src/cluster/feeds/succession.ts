/** When a follower may claim the topic of an owner that is not heard of any more: the survivors do so one after the other. */
import { createHash } from 'node:crypto';
import type { Millis } from '../../schemas/common.js';
import type { TopicOwner } from '../bus.js';
import type { Moment } from './moment.js';

export const RANK_MS: Millis = 250;

export const maySucceed = (
  key: string,
  owner: TopicOwner,
  { leaseMs, silentFor, survivors }: Moment,
): boolean => {
  const silent = silentFor(owner.server);
  // The lease of a server, by the follower's own clock.
  if (silent <= leaseMs) return false;
  const { own: name, ids } = survivors(owner.server);
  const scores = new Map(ids.map((id) => [id, createHash('sha1').update(`${id} ${key}`).digest('hex')]));
  const own = scores.get(name) ?? '';
  const rank = [...scores.values()].filter((score) => score > own).length;
  return silent > leaseMs + rank * RANK_MS;
};
