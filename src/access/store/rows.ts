/** From a database's rows to the store's words. A value of another type is a fault of the database: `corrupt`. */
import type { SqlRow } from '../../ledger/sql.js';
import { StoreError } from '../../ledger/store-error.js';
import { isScope } from '../principal.js';
import { AUDIT_ACTIONS, type AuditEntry, type KeyRow, type PlanRow } from './store.js';
import type { TicketRow, UsageRow } from './store.js';

export type Row = SqlRow;

const fault = (column: string): StoreError =>
  new StoreError('corrupt', `The store of keys holds something unexpected in ${column}.`);

export const numberIn = (row: Row | undefined, column: string): number => {
  const value = row?.[column];
  if (typeof value !== 'number') throw fault(column);
  return value;
};

export const textIn = (row: Row, column: string): string => {
  const value = row[column];
  if (typeof value !== 'string') throw fault(column);
  return value;
};

const numberOrNull = (row: Row, column: string): number | null =>
  row[column] === null ? null : numberIn(row, column);
const textOrNull = (row: Row, column: string): string | null =>
  row[column] === null ? null : textIn(row, column);

export const keyOf = (row: Row): KeyRow => ({
  id: textIn(row, 'id'),
  consumer: textIn(row, 'consumer_id'),
  name: textIn(row, 'name'),
  hash: textIn(row, 'hash'),
  last4: textIn(row, 'last4'),
  // Scopes of a later version of this program grant nothing here.
  scopes: textIn(row, 'scopes').split(',').filter(isScope),
  plan: textIn(row, 'plan'),
  createdAt: numberIn(row, 'created_at'),
  expiresAt: numberOrNull(row, 'expires_at'),
  revokedAt: numberOrNull(row, 'revoked_at'),
  rotatedTo: textOrNull(row, 'rotated_to'),
  leakedAt: numberOrNull(row, 'leaked_at'),
});

export const planOf = (row: Row): PlanRow => ({ name: textIn(row, 'name'), limits: textIn(row, 'limits') });

export const auditOf = (row: Row): AuditEntry => {
  const action = AUDIT_ACTIONS.find((known) => known === row['action']);
  if (action === undefined) throw fault('action');
  return {
    at: numberIn(row, 'at'),
    actor: textIn(row, 'actor'),
    action,
    target: textIn(row, 'target'),
    detail: textIn(row, 'detail'),
  };
};

export const usageOf = (row: Row): UsageRow => ({
  keyId: textIn(row, 'key_id'),
  hour: numberIn(row, 'hour'),
  requests: numberIn(row, 'requests'),
  units: numberIn(row, 'units'),
  bytes: numberIn(row, 'bytes'),
  streamSeconds: numberIn(row, 'stream_seconds'),
  refused: numberIn(row, 'refused'),
});

export const ticketOf = (row: Row): TicketRow => ({
  hash: textIn(row, 'hash'),
  holder: textIn(row, 'holder'),
  principal: textIn(row, 'principal'),
  purpose: textIn(row, 'purpose'),
  origin: textOrNull(row, 'origin'),
  expiresAt: numberIn(row, 'expires_at'),
});
