// Checks what the control API is sent. Each function throws a TypeError that says what is wrong.
import { type Fault, type FaultRule } from './faults.js';
import { EXCHANGES, VENUES, type ExchangeId, type VenueId } from './listings.js';
import { BOOK_FAULTS, VENUE_ERRORS } from './venues/venue.js';
import { type SocketAction } from './ws-peer.js';

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${name} must be an object`);
  }
  return value as Fields;
}

function only(value: Fields, names: readonly string[], where: string): void {
  const extra = Object.keys(value).find((name) => !names.includes(name));
  if (extra !== undefined)
    throw new TypeError(`${where} has no field "${extra}"; it takes ${names.join(', ')}`);
}

function number(value: Fields, name: string, range: readonly [number, number]): number {
  const found = value[name];
  if (typeof found !== 'number' || !(found >= range[0] && found <= range[1])) {
    throw new TypeError(`${name} must be a number from ${range[0]} to ${range[1]}`);
  }
  return found;
}

function text(value: Fields, name: string): string {
  const found = value[name];
  if (typeof found !== 'string') throw new TypeError(`${name} must be a string`);
  return found;
}

function oneOf<T extends string>(value: Fields, name: string, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value[name]);
  if (found === undefined) throw new TypeError(`${name} must be one of ${allowed.join(', ')}`);
  return found;
}

/** A close code that may be sent (RFC 6455, 7.4); the socket would throw at another. */
function closeCode(value: Fields): { code?: number } {
  if (value['code'] === undefined) return {};
  const code = number(value, 'code', [1000, 4999]);
  const reserved =
    [1004, 1005, 1006].includes(code) || (code > 1014 && code < 3000) || !Number.isInteger(code);
  if (reserved)
    throw new TypeError(`code must be one that may be sent: 1000 to 1014 but 1004 to 1006, or 3000 to 4999`);
  return { code };
}

const venueOf = (value: Fields): VenueId | undefined =>
  value['venue'] === undefined ? undefined : oneOf(value, 'venue', VENUES);

const DAY_MS = 86_400_000;
const LATEST_MS = Date.UTC(2100, 0, 1);
/** The fields of each fault beside `type`. */
const FAULT_FIELDS: Readonly<Record<Fault['type'], readonly string[]>> = {
  status: ['status', 'body', 'headers', 'retryAfter'],
  venue_error: ['name'],
  delay: ['ms'],
  hang: [],
  stall: [],
  reset: ['at'],
  truncate: [],
  gzip_cut: [],
  html: [],
  empty: [],
  wrong_length: [],
  odd_json: ['body'],
  candles_short: ['rows', 'keep'],
  candles_empty: [],
  candles_late: ['ms'],
  candles_hole: ['from', 'to'],
  candles_corrected: ['from', 'to'],
  candles_moved: ['ms'],
  candles_too_old: ['before', 'message'],
  ws_close: ['ms', 'code'],
  ws_terminate: ['ms'],
  ws_silent: [],
  ws_mute: ['ms'],
  ws_garbage: ['frame'],
  ws_gap: [],
};
const FAULT_TYPES = Object.keys(FAULT_FIELDS) as Fault['type'][];

function parseFault(value: unknown): Fault {
  const fault = fields(value, 'fault');
  const type = oneOf(fault, 'type', FAULT_TYPES);
  only(fault, ['type', ...FAULT_FIELDS[type]], `fault ${type}`);
  if (type === 'candles_moved') number(fault, 'ms', [-31 * DAY_MS, 31 * DAY_MS]);
  else if (FAULT_FIELDS[type].includes('ms')) number(fault, 'ms', [0, DAY_MS]);
  if (type === 'candles_short') number(fault, 'rows', [1, 10_000]);
  if (type === 'candles_short' && fault['keep'] !== undefined) oneOf(fault, 'keep', ['latest', 'first']);
  for (const bound of ['from', 'to'])
    if (FAULT_FIELDS[type].includes(bound) && fault[bound] !== undefined)
      number(fault, bound, [0, LATEST_MS]);
  if (type === 'candles_too_old') {
    number(fault, 'before', [0, LATEST_MS]);
    text(fault, 'message');
  }
  if (type === 'status') number(fault, 'status', [200, 599]);
  if (type === 'ws_close') closeCode(fault);
  if (type === 'ws_garbage' && fault['frame'] !== undefined) text(fault, 'frame');
  if (type === 'venue_error') oneOf(fault, 'name', VENUE_ERRORS);
  if (type === 'reset' && fault['at'] !== undefined) oneOf(fault, 'at', ['headers', 'body']);
  if (type === 'status' && fault['body'] !== undefined) text(fault, 'body');
  if (type === 'status' && fault['headers'] !== undefined) {
    const headers = fields(fault['headers'], 'headers');
    for (const name of Object.keys(headers)) text(headers, name);
  }
  const retryAfter = fault['retryAfter'];
  if (retryAfter !== undefined && typeof retryAfter !== 'number') {
    if (typeof retryAfter !== 'string' || !/^http-date:\d+$/.test(retryAfter)) {
      throw new TypeError('retryAfter must be a number of seconds or "http-date:<seconds>"');
    }
  }
  // Every member of every type is checked above, field by field, which the compiler can't follow.
  return fault as unknown as Fault;
}

/** @throws TypeError */
export function parseFaultRule(value: unknown): FaultRule {
  const rule = fields(value, 'fault rule');
  only(rule, ['venue', 'match', 'fault', 'times', 'probability'], 'fault rule');
  const venue = venueOf(rule);
  return {
    ...(venue === undefined ? {} : { venue }),
    ...(rule['match'] === undefined ? {} : { match: text(rule, 'match') }),
    fault: parseFault(rule['fault']),
    ...(rule['times'] === undefined ? {} : { times: number(rule, 'times', [1, 1e9]) }),
    ...(rule['probability'] === undefined ? {} : { probability: number(rule, 'probability', [0, 1]) }),
  };
}

/** @throws TypeError */
export function parseTicks(value: unknown): {
  perSecond: number;
  of?: { venue: ExchangeId; symbol?: string };
} {
  const ticks = fields(value, 'ticks');
  only(ticks, ['venue', 'symbol', 'perSecond'], 'ticks');
  const perSecond = number(ticks, 'perSecond', [0, 100]);
  if (ticks['venue'] === undefined) return { perSecond };
  const venue = oneOf(ticks, 'venue', EXCHANGES);
  const symbol = ticks['symbol'] === undefined ? {} : { symbol: text(ticks, 'symbol') };
  return { perSecond, of: { venue, ...symbol } };
}

/** @throws TypeError */
export function parseAction(value: unknown): { venue: VenueId | undefined; action: SocketAction } {
  const body = fields(value, 'socket action');
  only(body, ['venue', 'action', 'frame', 'code', 'reason', 'fault', 'channel'], 'socket action');
  const venue = venueOf(body);
  const name = oneOf(body, 'action', ['close', 'terminate', 'mute', 'unmute', 'send', 'gap', 'book']);
  if (name === 'send') return { venue, action: { action: name, frame: text(body, 'frame') } };
  if (name === 'book') {
    const fault = oneOf(body, 'fault', BOOK_FAULTS);
    const channel = body['channel'] === undefined ? {} : { channel: text(body, 'channel') };
    return { venue, action: { action: name, fault, ...channel } };
  }
  if (name !== 'close') return { venue, action: { action: name } };
  const code = closeCode(body);
  const reason = body['reason'] === undefined ? {} : { reason: text(body, 'reason') };
  return { venue, action: { action: name, ...code, ...reason } };
}
