/** A TCP proxy in front of a test's server, that delays what comes back, replaces it, cuts it, or passes nothing on. */
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Where new connections lead; those that are open stay where they are. */
  targetPort: number;
  /** Added to every chunk on its way back. */
  delayMs: number;
  /** What comes back in place of the server's bytes; null: those bytes. */
  tamper: ((chunk: Buffer) => Buffer) | null;
  /** Asked for each new connection: after so many bytes of what comes back it ends, be it within a word; null: never. */
  cutAfter: (() => number) | null;
  /** Nothing is passed on either way, and no connection ends; what was swallowed is lost. */
  isCut: boolean;
  close(): Promise<void>;
}

export const startTcpProxy = async (firstTargetPort: number): Promise<TcpProxy> => {
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const state = {
    targetPort: firstTargetPort,
    delayMs: 0,
    tamper: null as TcpProxy['tamper'],
    cutAfter: null as TcpProxy['cutAfter'],
    isCut: false,
  };
  const server = createServer((client) => {
    let left = state.cutAfter?.() ?? Infinity;
    const target = createConnection({ port: state.targetPort, host: '127.0.0.1' });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (chunk) => {
      if (!state.isCut) target.write(chunk);
    });
    target.on('data', (chunk) => {
      if (state.isCut) return;
      const bytes = (state.tamper === null ? chunk : state.tamper(chunk)).subarray(0, left);
      left -= bytes.length;
      if (left <= 0) return void client.end(bytes);
      if (state.delayMs === 0) return void client.write(bytes);
      const timer = setTimeout(() => {
        timers.delete(timer);
        client.write(bytes);
      }, state.delayMs);
      timers.add(timer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return Object.assign(state, {
    port: address.port,
    async close() {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  });
};
