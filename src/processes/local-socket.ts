/**
 * Where the processes of a server reach each other: Unix sockets in a folder that this user alone may enter, named pipes on
 * Windows.
 */
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Millis } from '../schemas/common.js';
import { FramedPort } from './framed-port.js';

const IS_WINDOWS = process.platform === 'win32';
const RETRY_MS: Millis = 20;

/** A folder for the sockets; its name is random. */
export const makeSocketFolder = (): string => mkdtempSync(join(tmpdir(), 'mcds-'));

export const removeSocketFolder = (folder: string): void => {
  rmSync(folder, { recursive: true, force: true });
};

export const socketPath = (folder: string, name: string): string =>
  IS_WINDOWS ? `\\\\.\\pipe\\${basename(folder)}-${name}` : join(folder, `${name}.sock`);

export interface LocalServer {
  /** Cuts every connection. */
  close(): Promise<void>;
}

/** Rejects where the socket cannot be made. What a dead process has left there is replaced. */
export const listenLocally = async (
  path: string,
  onPort: (port: FramedPort) => void,
): Promise<LocalServer> => {
  if (!IS_WINDOWS) rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    onPort(new FramedPort(socket));
  });
  await once(server.listen(path), 'listening');
  if (!IS_WINDOWS) chmodSync(path, 0o600);
  return {
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
};

/** Connects as soon as somebody listens; null: `signal` ended the wait. */
export const connectLocally = async (path: string, signal: AbortSignal): Promise<FramedPort | null> => {
  while (!signal.aborted) {
    const socket = connect(path);
    try {
      await once(socket, 'connect', { signal });
      return new FramedPort(socket);
    } catch {
      socket.destroy();
      await new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
  return null;
};
