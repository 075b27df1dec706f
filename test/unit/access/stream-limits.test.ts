import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { createLiveLimits } from '../../../src/access/live-limits.js';
import type { Metering } from '../../../src/access/metering.js';
import { PERMITS_ALL } from '../../../src/access/permit.js';
import { UNLIMITED } from '../../../src/access/plan.js';
import { Principal } from '../../../src/access/principal.js';
import { endWithPrincipal } from '../../../src/http/access/credential-end.js';
import { createStreamLimits } from '../../../src/http/limits/stream-limits.js';

const socketOf = (destroyed: boolean): Socket =>
  Object.assign(new EventEmitter(), { destroyed, bytesWritten: 0 }) as unknown as Socket;

it('a connection that was lost before it is known whose it is holds nothing of its caller', () => {
  let metered = 0;
  const metering: Metering = {
    asked: () => undefined,
    answered: () => undefined,
    opened: () => {
      metered += 1;
      return () => (metered -= 1);
    },
    learn: () => Promise.resolve(),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const limits = createStreamLimits({ live: createLiveLimits(), metering, permits: () => PERMITS_ALL });
  const plan = { name: 'one', limits: { ...UNLIMITED, streams: 1, symbols: 1 } };
  const state = {
    name: 'k',
    scopes: new Set(['stream:read'] as const),
    plan,
    expiresAt: null,
    revokedAt: null,
  };
  const principal = new Principal({ kind: 'key', id: 'k', consumer: { id: 'k' } }, state);
  const open = (socket: Socket) => limits.open({ client: '192.0.2.1', socket }, principal);
  const lost = socketOf(true);
  open(lost).openTopic('binance', 'BTC/USDT');
  endWithPrincipal(principal, {
    connection: { fail: () => undefined },
    socket: lost,
    context: { url: '/ws', requestId: 'r' },
    sandbox: false,
    now: () => 0,
  });
  expect([metered, principal.openStreams]).toEqual([0, 0]);
  const held = open(socketOf(false));
  held.openTopic('binance', 'ETH/USDT');
  expect(metered).toBe(1);
  expect(() => open(socketOf(false))).toThrow('at most 1 streams');
});
