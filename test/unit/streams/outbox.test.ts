import { describe, expect, it } from 'vitest';
import { Gather } from '../../../src/streams/clients/gather.js';
import { Outbox } from '../../../src/streams/clients/outbox.js';
import type { ClientSocket } from '../../../src/streams/clients/peer.js';
import { createSharedEvent } from '../../../src/streams/shared-event.js';

const event = (last: number) =>
  createSharedEvent({ type: 'ticker', conflationKey: 'ticker', json: JSON.stringify({ last }) });

describe('an outbox', () => {
  it('writes what was due before its reader began to lag ahead of what was held back since', () => {
    const written: string[] = [];
    const socket: ClientSocket = {
      writable: true,
      destroyed: false,
      writableLength: 0,
      write: (bytes) => written.push(String(bytes)) > 0,
      once: () => undefined,
      off: () => undefined,
      destroy: () => undefined,
    };
    let endTurn = (): void => undefined;
    const outbox = new Outbox(socket, 'sse', {
      gather: new Gather((run) => (endTurn = run)),
      now: () => 0,
      monotonic: () => 0,
      counters: { delivered: 0, conflated: 0, lost: 0 },
    });
    outbox.push(event(1), null);
    outbox.lag();
    outbox.push(event(2), null);
    outbox.caughtUp();
    endTurn();
    expect([...written.join('').matchAll(/"last":(\d)/g)].map(([, last]) => last)).toEqual(['1', '2']);
  });
});
