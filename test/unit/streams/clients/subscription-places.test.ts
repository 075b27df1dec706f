import { expect, test } from 'vitest';
import { createSubscriptionPlaces } from '../../../../src/streams/clients/subscriptions.js';

test('one client has at most half of all subscriptions, and all together no more than there are', () => {
  const places = createSubscriptionPlaces(4);
  places.take('a');
  places.take('a');
  expect(() => places.take('a')).toThrow(expect.objectContaining({ code: 'stream_limit_reached' }));
  places.take('b');
  places.take('c');
  expect(() => places.take('d')).toThrow(expect.objectContaining({ code: 'overloaded' }));
  places.giveBack('a');
  places.take('d');
  expect(() => places.take('a')).toThrow(expect.objectContaining({ code: 'overloaded' }));
});
