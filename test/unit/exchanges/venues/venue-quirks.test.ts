import { describe, expect, it } from 'vitest';
import { isEmptyAnswer, venueQuirks } from '../../../../src/exchanges/venues/venue-quirks.js';

describe('the quirks of venues', () => {
  it('know an answer that holds nothing', () => {
    const kraken = venueQuirks('kraken');
    for (const json of [{ error: [] }, { result: {} }, { result: null }, [], null])
      expect(isEmptyAnswer(kraken, json)).toBe(true);
    expect(isEmptyAnswer(kraken, { result: { last: 1 } })).toBe(false);
    expect(isEmptyAnswer(venueQuirks('binance'), [])).toBe(false);
  });
});
