import { describe, expect, it } from 'vitest';
import { type Writable } from 'node:stream';
import * as ws from 'ws';
import { createSharedEvent, textFrame } from '../../../src/streams/events.js';

// The package exports its frame parser; its types do not know it.
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

/** What a WebSocket peer reads from a frame. */
const decode = (frame: Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    const receiver = new Receiver({ isServer: false });
    receiver.on('message', (data: Buffer) => {
      resolve(data.toString());
    });
    receiver.on('error', reject);
    receiver.write(frame);
  });

describe('a shared event', () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])(
    'is framed so that a WebSocket peer reads its %i bytes back',
    async (length) => {
      const text = 'x'.repeat(length);
      expect(await decode(textFrame(text))).toBe(text);
    },
  );

  it('counts bytes, not characters, in its frame', async () => {
    const text = '€'.repeat(60);
    expect(await decode(textFrame(text))).toBe(text);
  });

  it('makes its frame and its SSE chunk once, however often they are read', () => {
    const event = createSharedEvent({ type: 'ticker', json: '{"a":1}', id: 'k-1', conflationKey: 'BTC' });
    expect(event.frame).toBe(event.frame);
    expect(event.sse).toBe(event.sse);
    expect(event.sse.toString()).toBe('id: k-1\ndata: {"a":1}\n\n');
    expect(event.conflationKey).toBe('BTC');
  });

  it('has no id line without an id, and may not be replaced unless told so', () => {
    const event = createSharedEvent({ type: 'heartbeat', json: '{}' });
    expect(event.sse.toString()).toBe('data: {}\n\n');
    expect(event.conflationKey).toBeNull();
  });
});
