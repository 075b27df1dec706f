// The control API over HTTP, below /_control/. docs/sandbox.md documents it with examples.
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type SandboxControl } from './control.js';
import { parseAction, parseFaultRule, parseTicks } from './control-input.js';
import { parseInterval, type Millis } from './intervals.js';
import { EXCHANGES, type ExchangeId } from './listings.js';
import { type MarketTruth } from './market.js';
import { SLOT } from './price-path.js';

const MAX_BODY_BYTES = 1_000_000;
/** Levels of a book, and rows of trades or candles, that one answer tells. */
const MAX_DEPTH = 5_000;
const MAX_ROWS = 10_000;

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/**
 * Why a request is not one of a local program: pages of other sites can send some to an address of this machine, by a
 * form, an image, or a name of theirs that leads here.
 */
const refusalOf = ({ method, headers }: IncomingMessage): string | undefined => {
  const { host = '', origin, 'content-type': type = '' } = headers;
  if (!LOOPBACK_HOST.test(host)) return 'the control API is reached by a name of this machine only';
  if (origin !== undefined && !LOOPBACK_HOST.test(origin.replace(/^https?:\/\//, '')))
    return 'pages of other origins may not use the control API';
  if (method === 'POST' && !/^application\/json\s*(;|$)/i.test(type))
    return 'the body must be application/json';
  return undefined;
};

export interface ControlContext {
  readonly control: SandboxControl;
  readonly truth: MarketTruth;
  readonly now: () => Millis;
}

/** Answers one control request. Bad input is a 400 that says what is wrong. */
export async function handleControl(
  request: IncomingMessage,
  response: ServerResponse,
  context: ControlContext,
): Promise<void> {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  try {
    const refusal = refusalOf(request);
    if (refusal !== undefined) {
      send(403, { error: refusal });
      return;
    }
    const url = new URL(String(request.url), 'http://sandbox');
    const route = `${String(request.method)} ${url.pathname.replace(/^\/_control\/?/, '')}`;
    const body: unknown = request.method === 'POST' ? await readJson(request) : undefined;
    const answer = dispatch(route, { ...context, query: url.searchParams, body });
    if (answer === undefined) send(404, { error: `no control route ${route}` });
    else send(200, answer);
  } catch (error) {
    send(400, { error: error instanceof Error ? error.message : String(error) });
  }
}

interface Call extends ControlContext {
  readonly query: URLSearchParams;
  readonly body: unknown;
}

function dispatch(route: string, call: Call): unknown {
  const { control } = call;
  switch (route) {
    case 'GET ':
    case 'GET state':
      return {
        now: call.now(),
        seed: control.seed,
        counters: control.counters(),
        faults: control.faults(),
        sockets: control.listSockets(),
      };
    case 'GET requests':
      return { requests: control.requestLog() };
    case 'DELETE requests':
      control.resetLog();
      return { ok: true };
    case 'GET faults':
      return { faults: control.faults() };
    case 'POST faults':
      return { id: control.setFault(parseFaultRule(call.body)) };
    case 'DELETE faults':
      control.clearFaults();
      return { ok: true };
    case 'POST ticks': {
      const { perSecond, of } = parseTicks(call.body);
      control.setTickRate(perSecond, of);
      return { ok: true };
    }
    case 'POST sockets': {
      const { venue, action } = parseAction(call.body);
      return { sockets: control.sockets(venue, action) };
    }
    case 'GET truth/markets':
      return { symbols: call.truth.markets(exchangeOf(call.query)).map((market) => market.symbol) };
    case 'GET truth/ticker':
    case 'GET truth/candles':
    case 'GET truth/book':
    case 'GET truth/trades':
      return truth(route.slice('GET truth/'.length), call);
    default:
      return undefined;
  }
}

function exchangeOf(query: URLSearchParams): ExchangeId {
  const venue = EXCHANGES.find((id) => id === query.get('venue'));
  if (!venue) throw new RangeError(`venue must be one of ${EXCHANGES.join(', ')}`);
  return venue;
}

function refuseLongRange(range: Millis, most: Millis): void {
  if (range > most) throw new RangeError(`from and to may be at most ${most} ms apart here`);
}

function truth(what: string, call: Call): unknown {
  const { query } = call;
  const venue = exchangeOf(query);
  const symbol = query.get('symbol') ?? '';
  const number = (name: string, otherwise: number): number => {
    const value = Number(query.get(name) ?? otherwise);
    if (!Number.isFinite(value)) throw new RangeError(`${name} must be a number`);
    return value;
  };
  const now = call.now();
  const from = number('from', now - 60_000);
  const to = number('to', now);
  switch (what) {
    case 'ticker':
      return call.truth.ticker(venue, symbol, number('time', now));
    case 'book': {
      const depth = number('depth', 50);
      if (depth > MAX_DEPTH) throw new RangeError(`depth must be at most ${MAX_DEPTH}`);
      return call.truth.book(venue, symbol, { time: number('time', now), depth });
    }
    case 'trades':
      // A market trades at most once a slot: the range bounds the rows before they are made.
      refuseLongRange(to - from, MAX_ROWS * SLOT);
      return { trades: call.truth.trades(venue, symbol, { from, to }) };
    default: {
      const interval = query.get('interval') ?? '1m';
      const period = parseInterval(interval);
      refuseLongRange(
        to - from,
        MAX_ROWS * ((period?.next(period.start(from)) ?? to) - (period?.start(from) ?? from)),
      );
      return { candles: call.truth.candles(venue, symbol, { interval, from, to, now: number('now', now) }) };
    }
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new RangeError('body too large');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}
