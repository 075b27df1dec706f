import { expect, test } from 'vitest';
import { createSubscriptionSlots } from '../../../../src/streams/clients/subscriptions.js';

test('one client has at most half of all subscriptions, and all together no more than there are', () => {
  const slots = createSubscriptionSlots(4);
  slots.take('a');
  slots.take('a');
  expect(() => slots.take('a')).toThrow(expect.objectContaining({ code: 'stream_limit_reached' }));
  slots.take('b');
  slots.take('c');
  expect(() => slots.take('d')).toThrow(expect.objectContaining({ code: 'overloaded' }));
  slots.giveBack('a');
  slots.take('d');
  expect(() => slots.take('a')).toThrow(expect.objectContaining({ code: 'overloaded' }));
});
