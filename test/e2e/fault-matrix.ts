/** The faults that a venue can commit, and what the product has to make of each. */
import type { ErrorCode } from '../../src/errors.js';
import type { Fault } from '../../src/sandbox/faults.js';

export const VENUES = ['binance', 'kraken', 'coinbaseexchange'] as const;
export type VenueName = (typeof VENUES)[number];

export interface FaultRow {
  readonly name: string;
  readonly fault: Fault;
  readonly code: ErrorCode;
  /** Where a venue means something else by it. */
  readonly codeOf?: Partial<Record<VenueName, ErrorCode>>;
  /** Retry-After in seconds that the answer must carry; the venue's own where it gave one. */
  readonly retryAfter?: number;
  /** Where a venue's own form of the fault says another time. */
  readonly retryAfterOf?: Partial<Record<VenueName, number>>;
}

const status = (code: number, more: Partial<Extract<Fault, { type: 'status' }>> = {}): Fault => ({
  type: 'status',
  status: code,
  ...more,
});
const BLOCK_PAGE = '<!DOCTYPE html><html><title>Access denied</title></html>';
const html = { body: BLOCK_PAGE, headers: { 'content-type': 'text/html' } };
/** Longer than a whole request may take, so that it is passed on rather than waited out. */
const RETRY_AFTER_S = 30;

export const FAULTS: readonly FaultRow[] = [
  {
    name: '418, Retry-After in seconds',
    fault: status(418, { retryAfter: RETRY_AFTER_S }),
    code: 'upstream_rate_limited',
    retryAfter: RETRY_AFTER_S,
  },
  { name: '418 without', fault: status(418), code: 'upstream_rate_limited', retryAfter: 120 },
  {
    name: '429, Retry-After in seconds',
    fault: status(429, { retryAfter: RETRY_AFTER_S }),
    code: 'upstream_rate_limited',
    retryAfter: RETRY_AFTER_S,
  },
  {
    name: '429, Retry-After as a date',
    fault: status(429, { retryAfter: `http-date:${RETRY_AFTER_S}` }),
    code: 'upstream_rate_limited',
    retryAfter: RETRY_AFTER_S,
  },
  { name: '429 without', fault: status(429), code: 'upstream_rate_limited', retryAfter: 5 },
  {
    name: "too many requests, in the venue's words",
    fault: { type: 'venue_error', name: 'rate_limit' },
    code: 'upstream_rate_limited',
    retryAfter: 5,
    retryAfterOf: { binance: 30 },
  },
  { name: '400', fault: status(400), code: 'upstream_error' },
  { name: '401', fault: status(401), code: 'upstream_auth_required' },
  {
    name: '403 with a page that names the place',
    fault: status(403, { ...html, body: BLOCK_PAGE.replace('denied', 'denied in your country') }),
    code: 'upstream_geo_blocked',
  },
  {
    name: '403 with a page that gives no reason',
    fault: status(403, html),
    code: 'upstream_error',
    codeOf: { binance: 'upstream_rate_limited' },
    retryAfterOf: { binance: 300 },
  },
  { name: '404', fault: status(404, html), code: 'upstream_error' },
  { name: '451', fault: status(451), code: 'upstream_geo_blocked' },
  {
    name: "geo-block, in the venue's words",
    fault: { type: 'venue_error', name: 'geo_block' },
    code: 'upstream_geo_blocked',
  },
  { name: '500', fault: status(500), code: 'upstream_unavailable' },
  { name: '502', fault: status(502, html), code: 'upstream_unavailable' },
  { name: '503', fault: status(503), code: 'upstream_unavailable' },
  {
    name: '503, Retry-After in seconds',
    fault: status(503, { retryAfter: RETRY_AFTER_S }),
    code: 'upstream_unavailable',
    retryAfter: RETRY_AFTER_S,
  },
  {
    name: "maintenance, in the venue's words",
    fault: { type: 'venue_error', name: 'maintenance' },
    code: 'upstream_maintenance',
  },
  { name: '504', fault: status(504), code: 'upstream_unavailable' },
  { name: '520', fault: status(520, html), code: 'upstream_unavailable' },
  { name: 'hang before the headers', fault: { type: 'hang' }, code: 'upstream_timeout' },
  { name: 'stall in the body', fault: { type: 'stall' }, code: 'upstream_timeout' },
  { name: 'reset before the headers', fault: { type: 'reset', at: 'headers' }, code: 'upstream_unavailable' },
  { name: 'reset in the body', fault: { type: 'reset', at: 'body' }, code: 'upstream_unavailable' },
  { name: 'JSON cut short', fault: { type: 'truncate' }, code: 'upstream_bad_response' },
  { name: 'gzip cut short', fault: { type: 'gzip_cut' }, code: 'upstream_bad_response' },
  { name: 'HTML with 200', fault: { type: 'html' }, code: 'upstream_bad_response' },
  { name: 'empty body with 200', fault: { type: 'empty' }, code: 'upstream_bad_response' },
  { name: 'wrong content length', fault: { type: 'wrong_length' }, code: 'upstream_unavailable' },
  { name: 'JSON of another shape', fault: { type: 'odd_json' }, code: 'upstream_bad_response' },
];

/** What one cell of the table saw. */
export interface Seen {
  readonly venue: VenueName;
  readonly on: 'data' | 'markets';
  readonly fault: string;
  readonly status: number;
  readonly code: string;
  readonly retryAfter: string;
  readonly ms: number;
  /** That left for the venue before the answer. */
  readonly requests: number;
  readonly recovered: boolean;
}

/** The table as text, a line a cell. */
export const tableOf = (cells: readonly Seen[]): string => {
  const head = ['on', 'fault', 'venue', 'status', 'code', 'Retry-After', 'ms', 'requests', 'recovered'];
  const rows = cells.map(
    ({ on, fault, venue, status: answered, code, retryAfter, ms, requests, recovered }) =>
      [on, fault, venue, answered, code, retryAfter, Math.round(ms), requests, recovered ? 'yes' : 'NO'].map(
        String,
      ),
  );
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cellsOfRow: readonly string[]): string =>
    `| ${cellsOfRow.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
};
