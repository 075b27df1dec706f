/** Order books whose whole book CCXT asks for over REST beside the feed (Binance): whose fault a failed request is. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StreamTopic } from '../../../src/exchanges/exchange-client.js';
import { eventually, startRig, watchRejections, type Rig, type RigOptions } from './rig.js';

const BOOK_OF = (symbol: string): StreamTopic => ({ channel: 'orderbook', exchange: 'binance', symbol });
const SNAPSHOT = 'limit=1000';

let rig: Rig;
let rejections: ReturnType<typeof watchRejections>;

const start = async (options: RigOptions = {}): Promise<void> => {
  rig = await startRig(options);
};

/** Requests for the whole book of a market, by the venue's own name of it. */
const snapshotsOf = (id: string): number =>
  rig.sandbox.control
    .requestLog()
    .filter(({ query }) => query.includes(`symbol=${id}`) && query.includes(SNAPSHOT)).length;

beforeEach(() => {
  rejections = watchRejections();
});

afterEach(async () => {
  await rig.close();
  rejections.stop();
  expect(rejections.seen).toEqual([]);
});

describe('a snapshot that fails', () => {
  it('ends no feed that was opened after the one that it was asked for', async () => {
    await start({ upstreamTimeoutMs: 300, requests: 4 });
    const fault = { type: 'hang' } as const;
    rig.sandbox.control.setFault({ venue: 'binance', match: SNAPSHOT, fault, times: 1 });
    const first = rig.watch(BOOK_OF('BTC/USDT'));
    await eventually(() => snapshotsOf('BTCUSDT') === 1 || first.heard.ended !== null);
    expect(first.heard.ended).toBeNull();
    first.handle.close();
    const second = rig.watch(BOOK_OF('BTC/USDT'));
    await Promise.race([second.heard.more(15), second.heard.end()]);
    expect(second.heard.ended).toBeNull();
    expect(await first.heard.end()).toBeNull();
    expect(snapshotsOf('BTCUSDT')).toBe(2);
  });

  it('is asked for once, and ends its feed alone', async () => {
    await start();
    const other = rig.watch(BOOK_OF('ETH/USDT'));
    await other.heard.more(1);
    const fault = { type: 'status', status: 503 } as const;
    rig.sandbox.control.setFault({ venue: 'binance', match: SNAPSHOT, fault });
    const { heard } = rig.watch(BOOK_OF('BTC/USDT'));
    expect(await heard.end()).toMatchObject({ code: 'upstream_unavailable' });
    expect(snapshotsOf('BTCUSDT')).toBe(1);
    await other.heard.more(3);
    expect(other.heard.ended).toBeNull();
  });
});

describe('a snapshot that this server refuses', () => {
  it('ends its feed with the time at which it may be asked for, and leaves callers their half', async () => {
    await start({ requests: 4 });
    for (const symbol of ['BTC/USDT', 'ETH/USDT']) await rig.watch(BOOK_OF(symbol)).heard.more(1);
    const error = await rig.watch(BOOK_OF('SOL/USDT')).heard.end();
    expect(error).toMatchObject({ code: 'upstream_budget_exhausted' });
    expect(error?.retryAfterMs).toBeGreaterThan(50_000);
    expect(snapshotsOf('SOLUSDT')).toBe(0);
    const request = { kind: 'ticker', exchange: 'binance', symbol: 'SOL/USDT' } as const;
    const asked = rig.client.fetch(request, { deadline: Date.now() + 5_000, priority: 'caller' });
    expect(await asked).toMatchObject({ symbol: 'SOL/USDT' });
  });
});
