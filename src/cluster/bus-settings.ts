/** What the servers of a cluster have in common: the names of their keys. */
import type { BusPlace } from '../exchanges/worker/protocol.js';

/** Plain data: it crosses to worker threads. */
export type BusSettings = BusPlace;

/** Servers that write keys of another form share nothing. */
export const FORMAT_VERSION = 1;

/** All keys of a namespace are in one slot of a Redis Cluster, so that scripts may touch several of them. */
export const keyPrefix = ({ namespace, sandbox }: Pick<BusSettings, 'namespace' | 'sandbox'>): string =>
  `{mcds:${namespace}}:${FORMAT_VERSION}:${sandbox ? 'sandbox' : 'real'}`;

/** Where the lowest limit of the servers of an egress stands. */
export const limitKey = (settings: BusSettings): string => `${keyPrefix(settings)}:limit:${settings.egress}`;
