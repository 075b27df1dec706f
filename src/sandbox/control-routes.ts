// The control API over HTTP, below /_control/. docs/sandbox.md documents it with examples.
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type SandboxControl } from './control.js';
import { parseAction, parseFaultRule, parseTicks } from './control-input.js';
import { type Millis } from './intervals.js';
import { EXCHANGES, type ExchangeId } from './listings.js';
import { type MarketTruth } from './market.js';

const MAX_BODY_BYTES = 1_000_000;

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
    const url = new URL(request.url ?? '/', 'http://sandbox');
    const route = `${request.method ?? 'GET'} ${url.pathname.replace(/^\/_control\/?/, '')}`;
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
    case 'book':
      return call.truth.book(venue, symbol, { time: number('time', now), depth: number('depth', 50) });
    case 'trades':
      return { trades: call.truth.trades(venue, symbol, { from, to }) };
    default: {
      const interval = query.get('interval') ?? '1m';
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
