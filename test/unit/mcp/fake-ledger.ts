/** Coverage that a test sets, with a record of what was asked for. */
import type { Ledger } from '../../../src/ledger/ledger.js';
import type { CoverageAnswer } from '../../../src/ledger/coverage-report.js';
import { NOW } from './fake-market-data.js';

const HOUR = 3_600_000;
type Coverage = Ledger['coverage'];

export class FakeLedger implements Pick<Ledger, 'coverage'> {
  readonly asked: Parameters<Coverage>[] = [];
  /** Thrown by every call while set. */
  fault: Error | null = null;
  answer: CoverageAnswer = {
    symbol: 'BTC/USDT',
    series: {
      ...{ id: 7, exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', anchor: 0, generation: 1 },
      ...{ candles: 120, first: NOW - 3 * HOUR, last: NOW - HOUR - 60_000, firstListed: null },
    },
    ranges: [
      {
        ...{ from: NOW - 4 * HOUR, to: NOW - 3 * HOUR, state: 'unavailable', reason: 'before_listing' },
        ...{ source: 'rest', checkedAt: NOW - 1000 },
      },
      {
        ...{ from: NOW - 3 * HOUR, to: NOW - HOUR, state: 'known', reason: null },
        ...{ source: 'rest', checkedAt: NOW - 1000 },
      },
      {
        ...{ from: NOW - HOUR, to: NOW, state: 'unknown', reason: null },
        ...{ source: null, checkedAt: null },
      },
    ],
  };

  coverage: Coverage = (...asked) => {
    this.asked.push(asked);
    return this.fault === null ? Promise.resolve(this.answer) : Promise.reject(this.fault);
  };

  /** As many ranges of a minute as that, of two states in turns. */
  manyRanges(count: number): void {
    const ranges = Array.from({ length: count }, (_, index) => ({
      ...{ from: NOW + index * 60_000, to: NOW + (index + 1) * 60_000, reason: null },
      ...{ state: index % 2 === 0 ? ('known' as const) : ('suspect' as const) },
      ...{ source: 'rest', checkedAt: NOW },
    }));
    this.answer = { ...this.answer, ranges };
  }
}
