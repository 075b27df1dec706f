/**
 * What is unfinished on each connection. HTTP/1.1 lets a client send requests without waiting for answers
 * (pipelining); Node parses them all, queues their responses, and tells a queued response nothing when the socket dies.
 * Here every request is settled exactly once, a connection has a bounded number of unfinished requests, and an answer
 * that is written to the socket by hand goes out behind those that are due before it.
 */
import { ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Turns } from './turns.js';

/** Unfinished requests of one connection that are worked on; those beyond it are held back. */
export const MAX_UNFINISHED = 16;
/**
 * Requests of one connection that are held back before reading pauses. Not at once: a connection that is not read does
 * not tell that its client has gone. Node parses what it has read (64 kB) at once, so that there can be more.
 */
const MAX_HELD_UNPAUSED = 2_000;
/** Requests held back of all connections together, about 2.5 kB each; the connection that brings more is destroyed. */
const MAX_HELD = 10_000;

/** A request from the start of its handling to the end of its answer. */
export interface Unfinished {
  /** Whether the request has arrived with its body. */
  readonly complete: boolean;
  /** The socket has gone: there will be no answer. */
  gone(): void;
}

interface HeldCount {
  held: number;
}

const ignore = (): void => undefined;

/** The response whose turn it is on this socket; Node keeps it under a name that its documentation does not have. */
const currentResponse = (socket: Duplex): ServerResponse | undefined => {
  const response: unknown = Reflect.get(socket, '_httpMessage');
  return response instanceof ServerResponse ? response : undefined;
};

/** Has an answer begun that has not ended? Bytes of ours in its midst would be taken for its own. */
export const isMidAnswer = (socket: Duplex): boolean => {
  const response = currentResponse(socket);
  return response !== undefined && response.headersSent && !response.writableEnded;
};

class Pipeline {
  readonly #socket: Duplex;
  readonly #counts: HeldCount;
  readonly #turns: Turns;
  #unfinished: Unfinished[] = [];
  #held: (() => void)[] = [];
  #last: (() => void) | null = null;
  #resumeWatched = false;

  constructor(socket: Duplex, { counts, turns }: { counts: HeldCount; turns: Turns }) {
    this.#socket = socket;
    this.#counts = counts;
    this.#turns = turns;
    socket.once('close', () => {
      this.#abandon();
    });
  }

  /** True while an answer is due on this connection. */
  get busy(): boolean {
    return (
      this.#unfinished.length > 0 || this.#held.length > 0 || currentResponse(this.#socket) !== undefined
    );
  }

  /** True once `endAfter` was called: the connection takes no further requests. */
  get ending(): boolean {
    return this.#last !== null;
  }

  add(request: Unfinished): void {
    this.#unfinished.push(request);
  }

  /** Idempotent. */
  finished(request: Unfinished): void {
    const at = this.#unfinished.indexOf(request);
    if (at === -1) return;
    this.#unfinished.splice(at, 1);
    this.#next();
  }

  /** Runs `handle` in its turn, once fewer than MAX_UNFINISHED requests are unfinished, in the order of arrival. */
  inTurn(handle: () => void): void {
    if (this.#counts.held >= MAX_HELD) {
      this.#socket.destroy();
      return;
    }
    this.#counts.held += 1;
    this.#held.push(handle);
    if (this.#held.length >= MAX_HELD_UNPAUSED) this.#pause();
    if (this.#unfinished.length < MAX_UNFINISHED) this.#turns.join(this);
  }

  /**
   * Calls `answer` once everything that arrived wholly before is answered: at once where nothing did. The last thing
   * that happens on this connection; a second call does nothing.
   */
  endAfter(answer: () => void): void {
    if (this.#last !== null) return;
    this.#last = answer;
    this.#next();
  }

  /** The answer under way is a stream, which ends with the connection: whatever the client still sends is discarded. */
  discardInput(): void {
    this.#forgetHeld();
    this.#socket.removeAllListeners('data');
    // Takes the socket back from Node's parser, too, which reads past the listeners.
    this.#socket.on('data', ignore);
    this.#socket.resume();
  }

  #pause(): void {
    this.#socket.pause();
    if (this.#resumeWatched) return;
    this.#resumeWatched = true;
    // Node resumes by itself whenever the socket drains.
    this.#socket.on('resume', () => {
      if (this.#held.length >= MAX_HELD_UNPAUSED) this.#socket.pause();
    });
  }

  /** For Turns: handles the oldest request that is held back. */
  handleOne(): boolean {
    const wasPaused = this.#held.length >= MAX_HELD_UNPAUSED;
    const handle = this.#held.shift();
    if (handle === undefined) return false;
    this.#counts.held -= 1;
    handle();
    if (wasPaused && this.#held.length < MAX_HELD_UNPAUSED) this.#socket.resume();
    if (this.#held.length > 0) return this.#unfinished.length < MAX_UNFINISHED;
    this.#next();
    return false;
  }

  #next(): void {
    // A response may get its socket's 'close' before this does.
    if (this.#socket.destroyed) this.#forgetHeld();
    if (this.#held.length > 0) {
      if (this.#unfinished.length < MAX_UNFINISHED) this.#turns.join(this);
      return;
    }
    // What did not arrive wholly is what the last answer is about.
    if (this.#last === null || this.#unfinished.some(({ complete }) => complete)) return;
    const last = this.#last;
    this.#last = ignore;
    last();
  }

  #forgetHeld(): void {
    this.#turns.leave(this);
    this.#counts.held -= this.#held.length;
    this.#held = [];
  }

  #abandon(): void {
    this.#forgetHeld();
    this.#last ??= ignore;
    for (const request of this.#unfinished.splice(0)) request.gone();
  }
}

export interface Pipelines {
  /** The state of one connection; made when it is first asked for. */
  of(socket: Duplex): Pipeline;
}

export const createPipelines = (): Pipelines => {
  const shared = { counts: { held: 0 }, turns: new Turns() };
  const known = new WeakMap<Duplex, Pipeline>();
  return {
    of(socket) {
      let pipeline = known.get(socket);
      if (pipeline === undefined) {
        pipeline = new Pipeline(socket, shared);
        known.set(socket, pipeline);
      }
      return pipeline;
    },
  };
};

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/** Runs before all other listeners for requests: those beyond a connection's bound wait. */
export const boundPipelines = (server: Server, pipelines: Pipelines): void => {
  const behind = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  const handle: RequestListener = (request, response) => {
    for (const listener of behind) listener.call(server, request, response);
  };
  server.on('request', (request, response) => {
    // A response has its socket where nothing on the connection is due before it: the common case, and the shortest way.
    if (response.socket !== null) handle(request, response);
    else
      pipelines.of(request.socket).inTurn(() => {
        handle(request, response);
      });
  });
};

/**
 * Node takes its own `error` listener off a socket that it hands over (CONNECT, upgrades, faulty requests): a reset at
 * that moment would be an uncaught exception. This one stays for the connection's life.
 */
export const keepErrorListeners = (server: Server): void => {
  server.on('connection', (socket: Socket) => {
    if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore);
  });
};
