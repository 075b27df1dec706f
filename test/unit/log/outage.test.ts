import { describe, expect, it } from 'vitest';
import { createOutage } from '../../../src/log/outage.js';
import { recordingLog } from '../../support/recording-log.js';

describe('an outage', () => {
  it('is told once when it begins and once when it is over', () => {
    let at = 0;
    const log = recordingLog();
    const outage = createOutage({ log, now: () => at, warning: 'down', recovery: 'up' });
    outage.end();
    expect(log.lines).toEqual([]);
    for (let i = 0; i < 1_000; i++) outage.begin({ reason: 'x' });
    expect(outage.active).toBe(true);
    at = 5_000;
    outage.end({ found: 'y' });
    outage.end();
    expect(log.lines.map(({ message, details }) => [message, details])).toEqual([
      ['down', { reason: 'x' }],
      ['up', { found: 'y' }],
    ]);
    expect([outage.active, outage.since]).toEqual([false, 5_000]);
  });

  it('that flickers is told once a minute at most', () => {
    let at = 0;
    const log = recordingLog();
    const outage = createOutage({ log, now: () => at, warning: 'down', recovery: 'up' });
    for (; at < 120_000; at += 100) {
      outage.begin({});
      outage.end();
    }
    expect(log.warnings().length).toBe(2);
    expect(log.lines.length).toBe(4);
  });
});
