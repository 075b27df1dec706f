/**
 * Where the server is reached. A host name such as localhost may mean two addresses, of which Node's server takes one.
 * Fastify would make a second server for the other, without the limits, the CONNECT answer and the response cache that stand
 * on the first: here the second only accepts, and its connections are served as the first one's.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer, isIP, type AddressInfo, type Server } from 'node:net';
import type { FastifyInstance } from 'fastify';

export interface Listening {
  /** Listens on every address of `host`. Resolves with their URLs; rejects as `net.Server.listen` does. */
  listen(at: { readonly host: string; readonly port: number }): Promise<string[]>;
  /** Resolves when the connections of the further addresses have ended; those of the first are the app's to end. */
  close(): Promise<void>;
}

export interface ListeningOptions {
  /** All addresses of a host name, in the order of preference. */
  readonly addressesOf?: (host: string) => Promise<readonly string[]>;
}

/** A family that this machine has not got: the name's other address is the one to use. */
const NO_SUCH_FAMILY = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/**
 * Connections that wait until the server accepts them; the system may allow fewer (Linux: net.core.somaxconn, 4,096). When a
 * server dies all of its clients come to the others at once: of those that find no room here some wait for seconds, some for ever.
 */
const BACKLOG = 4_096;

const allAddresses = async (host: string): Promise<string[]> =>
  (await lookup(host, { all: true })).map(({ address }) => address);

const urlOf = (address: AddressInfo | string | null): string => {
  if (address === null || typeof address === 'string') return '';
  const { address: host, port } = address;
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
};

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';

/** Installed on the root instance. Only host names are looked up; an address is listened on as it is. */
export const createListening = (app: FastifyInstance, options: ListeningOptions = {}): Listening => {
  const { addressesOf = allAddresses } = options;
  const others: { readonly server: Server; readonly closed: Promise<unknown> }[] = [];

  const listenOnOther = async (host: string, port: number): Promise<void> => {
    const other = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      app.server.emit('connection', socket);
    });
    other.maxConnections = app.server.maxConnections;
    try {
      await once(other.listen({ host, port, backlog: BACKLOG }), 'listening');
      others.push({ server: other, closed: once(other, 'close') });
    } catch (error) {
      if (!NO_SUCH_FAMILY.has(codeOf(error))) throw error;
    }
  };

  /** The first address that this machine has. */
  const listenOnFirst = async (addresses: readonly string[], port: number): Promise<readonly string[]> => {
    const [host = '', ...rest] = addresses;
    try {
      await app.listen({ host, port, backlog: BACKLOG });
      return rest;
    } catch (error) {
      if (rest.length === 0 || !NO_SUCH_FAMILY.has(codeOf(error))) throw error;
      return listenOnFirst(rest, port);
    }
  };

  app.addHook('preClose', (done) => {
    for (const { server } of others) server.close();
    done();
  });

  return {
    async listen({ host, port }) {
      const addresses = isIP(host) === 0 ? [...new Set(await addressesOf(host))] : [host];
      const rest = await listenOnFirst(addresses, port);
      const bound = app.server.address();
      const actualPort = bound === null || typeof bound === 'string' ? port : bound.port;
      for (const address of rest) await listenOnOther(address, actualPort);
      return [app.server, ...others.map((other) => other.server)].map((server) => urlOf(server.address()));
    },
    async close() {
      await Promise.all(others.map(({ closed }) => closed));
    },
  };
};
