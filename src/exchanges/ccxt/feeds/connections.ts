/** CCXT's WebSocket connections: through which proxy and how often an address is dialled, and when a connection last answered. */
import { Agent as HttpAgent } from 'node:http';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { LRUCache } from 'lru-cache';
import type { Millis } from '../../../schemas/common.js';
import { type CcxtExchange, isTable } from '../ccxt-exchange.js';
import type { ProxySettings } from '../http/transport.js';

/** Whether NO_PROXY (names and their subdomains, optional ports, `*`) exempts a host. */
const isExempt = ({ no }: ProxySettings, { hostname, port, protocol }: URL): boolean => {
  const actualPort = port !== '' ? port : protocol === 'wss:' ? '443' : '80';
  return no
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', wanted = actualPort] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      return wanted === actualPort && (hostname === name || hostname.endsWith(`.${name}`));
    });
};

export interface SocketAgents {
  /** What CCXT's WebSocket client is to connect with; undefined for its own default. */
  forUrl(url: string): HttpAgent | undefined;
  close(): void;
}

/** Agents for WebSocket URLs: CCXT knows neither HTTPS_PROXY nor, without an agent, any `ws://` at all. */
export const createSocketAgents = (proxy: ProxySettings): SocketAgents => {
  const plain = new HttpAgent();
  const proxied = new Map<string, HttpAgent>();
  return {
    forUrl: (url) => {
      const parsed = new URL(url);
      const secure = parsed.protocol === 'wss:';
      const through = secure && proxy.https !== '' ? proxy.https : proxy.http;
      if (through === '' || isExempt(proxy, parsed)) return secure ? undefined : plain;
      let agent = proxied.get(through);
      if (agent === undefined) {
        agent = new HttpsProxyAgent(through);
        proxied.set(through, agent);
      }
      return agent;
    },
    close: () => {
      plain.destroy();
      for (const agent of proxied.values()) agent.destroy();
    },
  };
};

/**
 * CCXT's back-off, in ms; `max` is below the time that a feed has for its first message. The feeds' own back-off is per
 * topic: this one keeps a hundred topics from dialling a venue that is down a hundred times. CCXT counts every dial as a
 * failure until `forgetDials`.
 */
export const BACKOFF = { base: 250, factor: 2, max: 5_000, stableAfter: 30_000 };

/** A venue has a handful of addresses. */
const MAX_ADDRESSES = 1_000;

/** By address. Outlives instances: each loss of a last feed makes a new one. */
const dials = new LRUCache<string, object>({ max: MAX_ADDRESSES });

/** Without its query: some venues have a new token in each URL, which would begin a count of its own. */
const addressOf = (url: string): string => url.replace(/[?#].*$/s, '');

/** The table that CCXT reads and writes by URL. */
const byUrl = new Proxy<Record<string, unknown>>(
  {},
  {
    get: (_table, url) => (typeof url === 'string' ? dials.get(addressOf(url)) : undefined),
    set: (_table, url, state: unknown) => {
      if (typeof url === 'string' && typeof state === 'object' && state !== null)
        dials.set(addressOf(url), state);
      return true;
    },
  },
);

/**
 * Once per instance. CCXT writes into the table that it is given, so each instance gets its own but for the count. What
 * EXCHANGE_OPTIONS says of `options.ws.backoff` goes before.
 */
export const paceDials = (instance: CcxtExchange): void => {
  const own = isTable(instance.options['ws']) ? instance.options['ws'] : {};
  const backoff = isTable(own['backoff']) ? { ...BACKOFF, ...own['backoff'] } : BACKOFF;
  instance.options['ws'] = { ...own, backoff, backoffState: byUrl };
};

/** Data came: should this connection be lost, it is dialled again at once. */
export const forgetDials = (urls: Iterable<string>): void => {
  for (const url of urls) dials.delete(addressOf(url));
};

/**
 * By the clock of durations. CCXT compares readings of the wall clock, or of the venue's: set an hour ahead, all healthy
 * connections would be cut at the next ping; an hour back, dead ones would stay undetected for an hour.
 */
const pongs = new WeakMap<object, Millis>();

/** Once per connection; `now`: the wall clock as CCXT reads it. CCXT finds `lastPong` as long before that as it was. */
const timePongs = (
  client: object,
  { now, monotonic }: { readonly now: () => Millis; readonly monotonic: () => Millis },
): void => {
  /** What CCXT read last: it writes that back at every ping. */
  let lastRead: Millis | undefined;
  Object.defineProperty(client, 'lastPong', {
    configurable: true,
    enumerable: true,
    get: () => {
      const at = pongs.get(client);
      return (lastRead = at === undefined ? undefined : now() - (monotonic() - at));
    },
    // Whatever time CCXT notes, it notes it as the pong comes.
    set: (value: unknown) => {
      if (value === undefined || value !== lastRead) pongs.set(client, monotonic());
    },
  });
};

/** A sign of life besides pongs: the venue has answered the handshake. */
export const noteAlive = (client: object, monotonic: () => Millis): void => {
  pongs.set(client, monotonic());
};

/** By the clock of durations; undefined before the connection is open. */
export const lastPongAt = (client: object): Millis | undefined => pongs.get(client);

/**
 * A subscribe frame that waits its turn is sent after its socket closed, and CCXT awaits nothing of it: the rejection
 * would end the process (docs/ccxt.md#unhandled-rejections). And a socket that waits its turn to be dialled is dialled after its instance
 * closed, and nothing would close it. Agents are set here too, since CCXT reads them while it makes the client.
 */
export const hardenSockets = (
  ccxt: CcxtExchange,
  {
    socketAgents: agents,
    monotonic,
  }: { readonly socketAgents: SocketAgents; readonly monotonic: () => Millis },
  isClosed: () => boolean,
): void => {
  const makeClient = ccxt.client;
  ccxt.client = function (url) {
    const agent = agents.forUrl(url);
    ccxt.agent = agent;
    ccxt.httpAgent = agent;
    const client = makeClient.call(ccxt, url);
    if (client.hardened !== true) {
      client.hardened = true;
      timePongs(client, { now: () => ccxt.milliseconds(), monotonic });
      const send = client.send.bind(client);
      client.send = (message) => {
        const sent = send(message);
        sent.catch(() => undefined);
        return sent;
      };
      const opened = client.onOpen.bind(client);
      client.onOpen = () => {
        noteAlive(client, monotonic);
        opened();
      };
      const dial = client.createConnection.bind(client);
      client.createConnection = () => {
        if (!isClosed()) dial();
      };
    }
    return client;
  };
};
