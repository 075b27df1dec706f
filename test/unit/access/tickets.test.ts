import { describe, expect, it } from 'vitest';
import { UNLIMITED } from '../../../src/access/plan.js';
import { Principal, type Scope } from '../../../src/access/principal.js';
import type { TicketRow } from '../../../src/access/store/store.js';
import { createTickets, type TicketUse } from '../../../src/access/tickets.js';
import { AppError } from '../../../src/errors.js';

const START = 1_700_000_000_000;
const TTL = 30_000;
const PAGE = 'https://page.example';
const PLAN = { name: 'pro', limits: UNLIMITED };

const makePrincipal = (
  kind: 'key' | 'token' | 'anonymous',
  {
    scopes = ['stream:read', 'market:read'],
    expiresAt = null,
  }: { scopes?: Scope[]; expiresAt?: number | null } = {},
): Principal =>
  new Principal(
    { kind, id: 'abcdefghijkl', consumer: { id: 'abcdefghijkl' } },
    { name: 'somebody', scopes: new Set(scopes), plan: PLAN, expiresAt, revokedAt: null },
  );

/** Keeps rows as a store does. */
const fakeStore = () => {
  const rows = new Map<string, TicketRow>();
  return {
    rows,
    down: false,
    async putTicket(row: TicketRow, { now, most }: { now: number; most: number }) {
      await Promise.resolve();
      if (this.down) throw new Error('gone');
      const open = [...rows.values()].filter(
        ({ holder, expiresAt }) => holder === row.holder && expiresAt > now,
      );
      if (open.length >= most) return false;
      rows.set(row.hash, row);
      return true;
    },
    async takeTicket(hash: string) {
      await Promise.resolve();
      if (this.down) throw new Error('gone');
      const row = rows.get(hash) ?? null;
      rows.delete(hash);
      return row;
    },
  };
};

const rig = () => {
  const clock = { now: START };
  const store = fakeStore();
  const keys = new Map<string, Principal>();
  const late = new Map<string, Principal>();
  let refreshed = 0;
  const tickets = createTickets({
    store: () => store,
    async refresh() {
      refreshed += 1;
      await Promise.resolve();
      for (const [id, principal] of late) keys.set(id, principal);
    },
    keyPrincipal: (id) => keys.get(id),
    plan: (name) => ({ name, limits: UNLIMITED }),
    ttlMs: TTL,
    now: () => clock.now,
  });
  const key = makePrincipal('key');
  keys.set(key.id, key);
  const use = (changes: Partial<TicketUse> = {}): TicketUse => ({
    purpose: 'sse',
    origin: PAGE,
    ownOrigins: ['https://data.example.com'],
    ...changes,
  });
  const issue = async (principal = key, origin: string | undefined = PAGE) =>
    (await tickets.issue(principal, { purpose: 'sse', origin })).ticket;
  const outcome = (ticket: string, changes: Partial<TicketUse> = {}): Promise<string> =>
    tickets.take(ticket, use(changes)).then(
      () => 'taken',
      (error: unknown) => (error instanceof AppError ? error.code : String(error)),
    );
  return { clock, store, keys, late, key, tickets, use, issue, outcome, refreshes: () => refreshed };
};

describe('a ticket', () => {
  it('stands for the key that asked for it, once', async () => {
    const { tickets, key, use, store, outcome } = rig();
    const issued = await tickets.issue(key, { purpose: 'sse', origin: PAGE });
    expect(issued).toMatchObject({ purpose: 'sse', expiresAt: START + TTL });
    expect(issued.ticket).toMatch(/^cdt_[\w-]{43}$/);
    expect(JSON.stringify([...store.rows.values()])).not.toContain(issued.ticket);
    expect(await tickets.take(issued.ticket, use())).toBe(key);
    expect(await outcome(issued.ticket)).toBe('ticket_invalid');
  });

  it.each([
    ['for another purpose', { purpose: 'ws' as const }],
    ['from another origin', { origin: 'https://other.example' }],
    ['without the origin', { origin: undefined }],
  ])('that is used %s is burnt', async (_how, changes) => {
    const { issue, outcome, store } = rig();
    const ticket = await issue();
    expect(await outcome(ticket, changes)).toBe('ticket_invalid');
    expect(store.rows.size).toBe(0);
    expect(await outcome(ticket)).toBe('ticket_invalid');
  });

  it('of a page of this server is good without an Origin, and with it', async () => {
    const { issue, key, outcome } = rig();
    const own = 'https://data.example.com';
    expect(await outcome(await issue(key, own), { origin: undefined })).toBe('taken');
    expect(await outcome(await issue(key, own), { origin: own })).toBe('taken');
  });

  it('of a program without an Origin is good for one without, and for no page', async () => {
    const { tickets, key, outcome } = rig();
    const issue = async () => (await tickets.issue(key, { purpose: 'sse', origin: undefined })).ticket;
    expect(await outcome(await issue(), { origin: undefined })).toBe('taken');
    expect(await outcome(await issue())).toBe('ticket_invalid');
  });

  it('expires', async () => {
    const { issue, outcome, clock } = rig();
    const [first, second] = [await issue(), await issue()];
    clock.now += TTL - 1;
    expect(await outcome(first)).toBe('taken');
    clock.now += 1;
    expect(await outcome(second)).toBe('ticket_invalid');
  });

  it('is worth what its key is worth when it is used', async () => {
    const { issue, outcome, key } = rig();
    const [revoked, narrowed] = [await issue(), await issue()];
    const { name, plan, expiresAt } = key;
    key.update({ name, plan, expiresAt, scopes: new Set(['market:read']), revokedAt: null });
    expect(await outcome(narrowed)).toBe('ticket_invalid');
    key.revoke(START);
    expect(await outcome(revoked)).toBe('ticket_invalid');
  });

  it('of a key that another server has just made is good here', async () => {
    const { issue, outcome, key, keys, late, refreshes } = rig();
    const ticket = await issue();
    keys.delete(key.id);
    late.set(key.id, key);
    expect(await outcome(ticket)).toBe('taken');
    expect(refreshes()).toBe(1);
  });

  it('of a key that is gone is not', async () => {
    const { issue, outcome, key, keys } = rig();
    const ticket = await issue();
    keys.delete(key.id);
    expect(await outcome(ticket)).toBe('ticket_invalid');
  });

  it('of a token tells all of it that matters to a stream', async () => {
    const { tickets, use, clock, issue, outcome } = rig();
    const token = makePrincipal('token', { expiresAt: START + 10_000 });
    const holder = await tickets.take(await issue(token), use());
    expect(holder).toMatchObject({
      kind: 'token',
      id: token.id,
      name: 'somebody',
      expiresAt: START + 10_000,
    });
    expect(holder.plan.name).toBe('pro');
    expect([...holder.scopes]).toEqual(['stream:read', 'market:read']);
    const late = await issue(token);
    clock.now += 10_000;
    expect(await outcome(late)).toBe('ticket_invalid');
  });

  it.each(['', 'cdt_', 'x'.repeat(47), `cdt_${'a'.repeat(44)}`, `cdt_${'é'.repeat(43)}`])(
    'like %.10s is refused without a look into the store',
    async (ticket) => {
      const { outcome, store } = rig();
      store.down = true;
      expect(await outcome(ticket)).toBe('ticket_invalid');
    },
  );

  it('is not given to callers without a credential', async () => {
    const { issue } = rig();
    await expect(issue(makePrincipal('anonymous'))).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('is the 21st open one of a caller: refused until one is used or expires', async () => {
    const { issue, clock, tickets, use } = rig();
    const all = await Promise.all(Array.from({ length: 20 }, () => issue()));
    await expect(issue()).rejects.toMatchObject({ code: 'client_rate_limited', retryAfterMs: TTL });
    await tickets.take(all[0] ?? '', use());
    await issue();
    await expect(issue()).rejects.toMatchObject({ code: 'client_rate_limited' });
    clock.now += TTL;
    await expect(issue()).resolves.toMatch(/^cdt_/);
  });

  it('of one subject count together, whichever of its tokens asks for them', async () => {
    const { issue } = rig();
    const tokens = [1, 2, 3].map((n) => makePrincipal('token', { expiresAt: START + n * 60_000 }));
    for (let i = 0; i < 20; i++) await issue(tokens[i % 2]);
    await expect(issue(tokens[2])).rejects.toMatchObject({ code: 'client_rate_limited' });
    // A key may have the same id by chance.
    await expect(issue()).resolves.toMatch(/^cdt_/);
  });

  it('is neither given nor taken while the store is away', async () => {
    const { issue, outcome, store } = rig();
    const ticket = await issue();
    store.down = true;
    await expect(issue()).rejects.toMatchObject({ code: 'auth_unavailable' });
    expect(await outcome(ticket)).toBe('auth_unavailable');
  });
});
