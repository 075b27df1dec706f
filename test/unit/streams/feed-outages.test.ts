import { beforeEach, describe, expect, it } from 'vitest';
import { FeedOutages, type LostFeed } from '../../../src/streams/feed/outages.js';
import { recordingLog } from '../../support/recording-log.js';

const LOST = 'feeds of an exchange are lost; they reconnect';
const REFUSED = 'an exchange refuses feeds; they are polled';
const MINUTE_MS = 60_000;

let log: ReturnType<typeof recordingLog>;
let now: number;
let outages: FeedOutages;
beforeEach(() => {
  log = recordingLog();
  now = 0;
  outages = new FeedOutages({ log, now: () => now });
});

const lost = (symbol: string, kind: LostFeed['kind'] = 'lost', exchange = 'binance'): LostFeed => ({
  topic: { channel: 'ticker', exchange, symbol },
  reason: 'The socket was closed.',
  code: 'upstream_unavailable',
  wait: 500,
  kind,
});

describe('a thousand feeds of one exchange that are lost and come back', () => {
  it('are two lines in the log, and one each at level debug', () => {
    const feeds = Array.from({ length: 1000 }, () => ({}));
    for (const [i, feed] of feeds.entries()) outages.lost(feed, lost(`C${i}/USDT`));
    expect(log.warnings()).toEqual([LOST]);
    expect(log.lines.filter(({ level }) => level === 'debug')).toHaveLength(1000);
    expect(log.lines.find(({ level }) => level === 'warn')?.details).toMatchObject({
      exchange: 'binance',
      symbol: 'C0/USDT',
      reason: 'The socket was closed.',
      wait: 500,
    });
    for (const feed of feeds.slice(1)) outages.over(feed, 'binance');
    expect(log.lines.filter(({ level }) => level === 'info')).toEqual([]);
    outages.over(feeds[0]!, 'binance');
    expect(log.lines.filter(({ level }) => level === 'info')).toEqual([
      {
        level: 'info',
        details: { exchange: 'binance', feeds: 1000 },
        message: 'all feeds of the exchange are live again',
      },
    ]);
  });

  it('are told of again when they are lost much later', () => {
    const feed = {};
    for (let round = 0; round < 3; round++) {
      outages.lost(feed, lost('BTC/USDT'));
      outages.over(feed, 'binance');
    }
    expect(log.warnings()).toEqual([LOST]);
    now += MINUTE_MS;
    outages.lost(feed, lost('BTC/USDT'));
    expect(log.warnings()).toEqual([LOST, LOST]);
  });
});

it('each exchange has its own, and a feed that is refused for good hides no loss', () => {
  outages.lost({}, lost('ODD/USDT', 'refused'));
  outages.lost({}, lost('ODDER/USDT', 'refused'));
  outages.lost({}, lost('BTC/USDT'));
  outages.lost({}, lost('BTC/USD', 'lost', 'kraken'));
  expect(log.warnings()).toEqual([REFUSED, LOST, LOST]);
});

it('a feed that was never lost ends nothing', () => {
  outages.lost({}, lost('BTC/USDT'));
  outages.over({}, 'binance');
  outages.over({}, 'kraken');
  expect(log.lines.filter(({ level }) => level === 'info')).toEqual([]);
});
