import { describe, expect, test } from 'vitest';
import { accepts, prefersGzip } from '../../../src/http/answers/accept.js';

describe('an event stream', () => {
  test.each([
    undefined,
    '',
    '*/*',
    'text/event-stream',
    'text/*',
    'Text/Event-Stream; charset=utf-8',
    'text/html, */*;q=0.1',
    'text/*;q=0, text/event-stream',
  ])('may be sent to who accepts %s', (accept) => {
    expect(accepts(accept, 'text/event-stream')).toBe(true);
  });

  test.each([
    'application/json',
    'text/event-stream;q=0',
    'text/event-stream;q=0, */*',
    'text/*;q=0.0, */*',
    '*/*;q=0',
  ])('may not be sent to who accepts %s', (accept) => {
    expect(accepts(accept, 'text/event-stream')).toBe(false);
  });
});

describe('compressed bytes', () => {
  test.each([
    'gzip',
    'gzip, deflate, br',
    'GZIP;q=0.5',
    'x-gzip',
    '*',
    'br, *;q=0.1',
    'identity;q=0.5, gzip;q=0.5',
    'identity;q=0, gzip',
  ])('are for who accepts %s', (header) => {
    expect(prefersGzip(header)).toBe(true);
  });

  test.each([
    undefined,
    '',
    'identity',
    'br, deflate',
    'gzip;q=0',
    'gzip;q=0.000, *',
    '*;q=0',
    'gzip;q=0.5, identity',
    'gzipped',
  ])('are not for who accepts %s', (header) => {
    expect(prefersGzip(header)).toBe(false);
  });
});
