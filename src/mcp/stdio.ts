/** MCP over standard input and output, for desktop clients that start this process as their child. */
import type { Readable, Writable } from 'node:stream';
import { serveStdio as serveOverStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { withoutNullArguments } from './null-arguments.js';
import { createMcpServerFactory, MAX_SUBSCRIPTIONS, type McpServerDependencies } from './mcp-server.js';

/** `log` must not write to standard output, which carries the protocol. */
export interface StdioDependencies extends McpServerDependencies {
  /** Default: the process's own. */
  readonly stdin?: Readable;
  readonly stdout?: Writable;
}

export interface StdioServer {
  /** Resolves when the client has closed its end, or after `close()`. */
  readonly closed: Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** The longest message taken from a client, in bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

export const serveStdio = (deps: StdioDependencies): StdioServer => {
  const { log, stdin = process.stdin, stdout = process.stdout } = deps;
  const transport = new StdioServerTransport(stdin, stdout, { maxBufferSize: MAX_MESSAGE_BYTES });
  const handle = serveOverStdio(createMcpServerFactory(deps), {
    transport,
    maxSubscriptions: MAX_SUBSCRIPTIONS,
    onerror: (error) => log.warn({ err: error }, 'MCP over stdio: a message could not be served'),
  });
  const take = transport.onmessage;
  transport.onmessage = (message) => take?.(withoutNullArguments(message));
  // The transport ends by itself: at the end of input, on a broken pipe, on a message beyond all bounds.
  const closed = new Promise<void>((resolve) => {
    const tearDown = transport.onclose;
    transport.onclose = () => {
      tearDown?.();
      resolve();
    };
  });
  return { closed, close: () => handle.close() };
};
