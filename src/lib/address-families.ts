/** How long one address of a name gets to answer before the next one is tried (RFC 8305, "Happy Eyeballs"). */
import { setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';

/**
 * Node gives each address 250 ms: a venue 300 ms away with two IPv6 addresses that lead nowhere is never reached, since
 * the last try is cut as well. Long enough for the other side of the world, short enough for several tries within a
 * connection's time.
 */
const ADDRESS_ATTEMPT_MS = 1_500;

/** For every connection of this thread: REST, WebSocket, proxies, Redis. */
export const allowDistantAddresses = (): void => {
  setDefaultAutoSelectFamilyAttemptTimeout(ADDRESS_ATTEMPT_MS);
};
