/**
 * Where the processes of a server reach each other: Unix sockets in a folder that this user alone may enter, named pipes on
 * Windows.
 */
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Millis } from '../schemas/common.js';
import { FramedPort } from './framed-port.js';

const IS_WINDOWS = process.platform === 'win32';
const RETRY_MS: Millis = 20;

const FOLDER = /^mcds-\w{6}$/;
/** A younger folder may be one of a server that does not listen yet. */
const MIN_AGE_MS: Millis = 60_000;

/** A folder for the sockets; its name is random. */
export const makeSocketFolder = (): string => mkdtempSync(join(tmpdir(), 'mcds-'));

/** Whether a process listens, whichever: one that is stopped does, too. */
const isListening = async (path: string): Promise<boolean> => {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'ECONNREFUSED' && code !== 'ENOENT';
  } finally {
    socket.destroy();
  }
};

/**
 * Removes the folders of this user's servers whose primary was killed and could not do so. `name`: of the primary's socket;
 * `now`: the wall clock. Gives the folders.
 */
export const removeDeadFolders = async (
  name: string,
  { parent = tmpdir(), now }: { readonly parent?: string; readonly now: () => Millis },
): Promise<readonly string[]> => {
  const removed: string[] = [];
  for (const entry of await readdir(parent)) {
    if (!FOLDER.test(entry)) continue;
    const folder = join(parent, entry);
    try {
      const { uid, mtimeMs } = await lstat(folder);
      const isOwn = process.getuid === undefined || uid === process.getuid();
      if (!isOwn || now() - mtimeMs < MIN_AGE_MS || (await isListening(socketPath(folder, name)))) continue;
      removeSocketFolder(folder);
      removed.push(folder);
    } catch {
      // Another server was faster.
    }
  }
  return removed;
};

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
