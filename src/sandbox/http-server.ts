// The sandbox's HTTP side: finds the venue by the first path segment, applies faults and latency, writes the log.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type FaultBook, isSocketFault, type RestFault } from './faults.js';
import { mix, unit } from './hash.js';
import { deliver, faultyReply, holdBack } from './http-reply.js';
import { type Millis } from './intervals.js';
import { type RequestLog } from './request-log.js';
import { json, type RestVenue } from './venues/venue.js';

export interface HttpOptions {
  readonly venues: readonly RestVenue[];
  readonly faults: FaultBook;
  readonly log: RequestLog;
  readonly now: () => Millis;
  readonly latencyMs: Millis;
  readonly jitterMs: Millis;
  readonly seed: number;
  /** Answers paths below `/_control/`; null: there are none. */
  readonly control: ((request: IncomingMessage, response: ServerResponse) => void) | null;
}

/** Splits `/host[:port]/path?query` into its parts. */
export function splitTarget(url: string): {
  host: string;
  path: string;
  query: URLSearchParams;
  target: string;
} {
  const [whole = '', query = ''] = url.split('?', 2);
  const slash = whole.indexOf('/', 1);
  const segment = whole.slice(1, slash === -1 ? undefined : slash);
  const path = slash === -1 ? '/' : whole.slice(slash);
  return {
    host: decodeSafely(segment).replace(/:\d+$/, ''),
    path: decodeSafely(path),
    query: new URLSearchParams(query),
    target: query === '' ? path : `${path}?${query}`,
  };
}

function decodeSafely(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

export function createHttpServer(options: HttpOptions): Server {
  const byHost = new Map(
    options.venues.flatMap((venue) => venue.hosts.map((host) => [host, venue] as const)),
  );
  const timers = new Set<NodeJS.Timeout>();
  let requests = 0;

  const later = (ms: Millis, run: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms);
    timer.unref();
    timers.add(timer);
  };

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const url = String(request.url);
    if (options.control !== null && url.startsWith('/_control')) {
      options.control(request, response);
      return;
    }
    const { host, path, query, target } = splitTarget(url);
    const venue = byHost.get(host);
    if (!venue) {
      deliver(response, json({ error: `no simulated venue at host "${host}"` }, 404), {
        fault: undefined,
        acceptEncoding: '',
      });
      return;
    }
    requests += 1;
    const kind = venue.kindOf(path, query);
    const taken = options.faults.take({ venue: venue.id, kind, target });
    const fault: RestFault | undefined = taken && !isSocketFault(taken) ? taken : undefined;
    const method = String(request.method);
    const now = options.now();
    const sound = venue.handle({ method, path, query, headers: request.headers, now });
    const reply = faultyReply(sound, { fault, venue, now });
    const silent = fault?.type === 'hang' || (fault?.type === 'reset' && fault.at !== 'body');
    options.log.add({
      time: now,
      venue: venue.id,
      kind,
      method,
      path,
      query: query.toString(),
      status: silent ? 0 : reply.status,
      fault: fault?.type ?? null,
      userAgent: request.headers['user-agent'] ?? '',
    });
    const acceptEncoding = request.headers['accept-encoding'] ?? '';
    const wait = options.latencyMs + options.jitterMs * unit(mix(options.seed, requests)) + holdBack(fault);
    const send = (): void => {
      // The venue's clock is the sandbox's, not this machine's.
      response.setHeader('date', new Date(options.now()).toUTCString());
      deliver(response, reply, { fault, acceptEncoding });
    };
    if (wait === Infinity) return;
    if (wait > 0) later(wait, send);
    else send();
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    response.on('error', () => undefined);
    try {
      serve(request, response);
    } catch (error) {
      // A fault of the sandbox itself must not look like one of the venue's.
      response.writeHead(500, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: `sandbox: ${String(error)}` }));
    }
  });
  server.on('close', () => {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
  });
  return server;
}
