// Writes a venue's reply to a connection: sound, or with one of the faults of faults.ts.
import { type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { faultyCandles } from './candle-faults.js';
import { isCandleFault, type RestFault } from './faults.js';
import { SECOND, type Millis } from './intervals.js';
import { type RestVenue, type VenueReply } from './venues/venue.js';

/** Bodies from this size on are compressed for those who accept it. */
const GZIP_FROM_BYTES = 1024;
const HTML =
  '<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>';

/** What a fault turns the venue's reply into. Faults of the transport leave it as it is. */
export function faultyReply(
  reply: VenueReply,
  { fault, venue, now }: { fault: RestFault | undefined; venue: RestVenue; now: Millis },
): VenueReply {
  if (fault !== undefined && isCandleFault(fault))
    return faultyCandles(reply, { fault, shape: venue.candles, now });
  switch (fault?.type) {
    case 'status':
      return {
        status: fault.status,
        body: fault.body ?? JSON.stringify({ message: `simulated ${fault.status}` }),
        headers: { ...retryAfter(fault.retryAfter), ...fault.headers },
      };
    case 'venue_error':
      return venue.errors[fault.name];
    case 'html':
      return { status: 200, body: HTML, headers: { 'content-type': 'text/html; charset=utf-8' } };
    case 'empty':
      return { status: 200, body: '' };
    case 'odd_json':
      return { status: 200, body: JSON.stringify(fault.body ?? { unexpected: ['shape', 42, null] }) };
    case 'truncate':
      return { ...reply, body: reply.body.slice(0, Math.ceil(reply.body.length / 2)) };
    default:
      return reply;
  }
}

function retryAfter(value: number | `http-date:${number}` | undefined): Record<string, string> {
  if (value === undefined) return {};
  if (typeof value === 'number') return { 'retry-after': String(value) };
  const seconds = Number(value.slice('http-date:'.length));
  // The header is a wall-clock date, so it needs the wall clock.
  return { 'retry-after': new Date(Date.now() + seconds * SECOND).toUTCString() };
}

/** How long a fault holds the reply back; Infinity for ever. */
export function holdBack(fault: RestFault | undefined): Millis {
  if (fault?.type === 'delay') return fault.ms;
  return fault?.type === 'hang' ? Infinity : 0;
}

/** Sends the reply, with the faults that concern the transport. */
export function deliver(
  response: ServerResponse,
  reply: VenueReply,
  options: { fault: RestFault | undefined; acceptEncoding: string },
): void {
  const { fault } = options;
  if (fault?.type === 'reset' && fault.at !== 'body') {
    response.socket?.resetAndDestroy();
    return;
  }
  const plain = Buffer.from(reply.body);
  const cutGzip = fault?.type === 'gzip_cut';
  const wantsGzip = /\bgzip\b/.test(options.acceptEncoding) && plain.length >= GZIP_FROM_BYTES;
  const body = cutGzip || wantsGzip ? gzipSync(plain, { level: 1 }) : plain;
  const half = body.subarray(0, Math.ceil(body.length / 2));
  const sent = cutGzip ? half : body;
  response.writeHead(reply.status, {
    'content-type': 'application/json;charset=UTF-8',
    ...(sent !== plain ? { 'content-encoding': 'gzip' } : {}),
    ...reply.headers,
    'content-length': fault?.type === 'wrong_length' ? sent.length + 100 : sent.length,
  });
  switch (fault?.type) {
    case 'stall':
      response.write(half);
      return;
    case 'reset':
      // The half must be on its way before the reset, or the client would see a reset before the headers.
      response.write(half, () => response.socket?.resetAndDestroy());
      return;
    case 'wrong_length':
      response.write(sent, () => response.socket?.end());
      return;
    default:
      response.end(sent);
  }
}
