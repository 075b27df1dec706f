/** Ways to the simulated venues that can be shut, each in its own manner, and opened again at the same address. */
import dns from 'node:dns';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Identity } from '../support/self-signed.js';

export interface Door {
  /** Of the venues as a server is told it. */
  readonly url: string;
  /** Whoever is connected is cut, whoever comes fails. */
  shut(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

/** Passes bytes on in both directions until either side ends. */
const join = (socket: Socket, port: number): void => {
  const onward = connect(port, '127.0.0.1');
  const part = (): void => {
    socket.destroy();
    onward.destroy();
  };
  for (const side of [socket, onward]) side.on('error', part).on('close', part);
  socket.pipe(onward).pipe(socket);
};

/** Sockets of a server, which can all be cut. */
const remember = (server: Server) => {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  return { cut: () => sockets.forEach((socket) => socket.destroy()) };
};

const listen = async (server: Server, port: number): Promise<number> => {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};
const close = async (server: Server): Promise<void> => {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  await closed;
};

/** Below those that systems hand out by themselves: nobody takes such a port while the door is shut. */
const FIRST_PORT = 20_000;
const PORTS = 10_000;
const listenAnywhere = async (server: Server): Promise<number> => {
  for (;;) {
    try {
      return await listen(server, FIRST_PORT + Math.floor(Math.random() * PORTS));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
};

/** Shut, nobody listens there: the connection is refused. */
export const refusingDoor = async (target: number): Promise<Door> => {
  const server = createServer((socket) => join(socket, target));
  const { cut } = remember(server);
  const port = await listenAnywhere(server);
  const shut = async (): Promise<void> => {
    cut();
    await close(server);
  };
  return {
    url: `http://127.0.0.1:${port}`,
    shut,
    open: async () => {
      if (!server.listening) await listen(server, port);
    },
    close: shut,
  };
};

/** HTTPS; shut, the one behind it greets as `greet` does instead. */
const tlsDoor = async (
  target: number,
  identity: Identity,
  greet: (socket: Socket) => void,
): Promise<Door> => {
  const secure = createTlsServer(identity, (socket) => join(socket, target));
  secure.on('tlsClientError', () => undefined);
  let isOpen = true;
  const server = createServer((socket) => {
    if (isOpen) secure.emit('connection', socket);
    else greet(socket);
  });
  const { cut } = remember(server);
  const port = await listen(server, 0);
  return {
    url: `https://127.0.0.1:${port}`,
    shut: async () => {
      isOpen = false;
      cut();
      return Promise.resolve();
    },
    open: async () => {
      isOpen = true;
      cut();
      return Promise.resolve();
    },
    close: async () => {
      cut();
      await close(server);
    },
  };
};

/** Shut, it answers a TLS greeting with what is none. */
export const plainTextDoor = (target: number, identity: Identity): Promise<Door> =>
  tlsDoor(target, identity, (socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  });

/** Shut, it shows a certificate that nobody trusts. */
export const distrustedDoor = (
  target: number,
  { trusted, other }: { readonly trusted: Identity; readonly other: Identity },
): Promise<Door> => {
  const impostor = createTlsServer(other);
  impostor.on('tlsClientError', () => undefined);
  return tlsDoor(target, trusted, (socket) => void impostor.emit('connection', socket));
};

/** RFC 6761: never resolves by itself. */
const NAME = 'venue.invalid';

/** Shut, its name does not resolve; for clients in this very process, whose look-ups go through here. */
export const namelessDoor = (target: number): Promise<Door> => {
  const { lookup } = dns;
  let isOpen = true;
  const found = (host: string, ...rest: [object, (error: Error | null) => void]): void => {
    if (host !== NAME || isOpen) Reflect.apply(lookup, dns, [host === NAME ? '127.0.0.1' : host, ...rest]);
    else
      process.nextTick(
        rest[1],
        Object.assign(new Error(`getaddrinfo ENOTFOUND ${NAME}`), {
          code: 'ENOTFOUND',
          syscall: 'getaddrinfo',
          hostname: NAME,
        }),
      );
  };
  const server = createServer((socket) => join(socket, target));
  const { cut } = remember(server);
  const turn = async (open: boolean): Promise<void> => {
    isOpen = open;
    cut();
    return Promise.resolve();
  };
  return listen(server, 0).then((port) => {
    Object.assign(dns, { lookup: found });
    return {
      url: `http://${NAME}:${port}`,
      shut: () => turn(false),
      open: () => turn(true),
      close: async () => {
        Object.assign(dns, { lookup });
        cut();
        await close(server);
      },
    };
  });
};
