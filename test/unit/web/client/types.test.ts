// The client's own types are those of the server's schemas: what the compiler says is the test, what is parsed its proof.
import type { z } from 'zod';
import { expect, test } from 'vitest';
import type * as words from '../../../../src/schemas/market.js';
import type { serverStatus } from '../../../../src/schemas/status.js';
import type * as streams from '../../../../src/schemas/stream.js';
import type * as client from '../../../../web/client/types.js';

type Frozen<T> = T extends (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;
type Same<A, B> = [Frozen<A>] extends [B] ? true : false;

const same: readonly true[] = [
  true satisfies Same<words.Ticker, client.Ticker>,
  true satisfies Same<z.infer<typeof words.tickers>, client.Tickers>,
  true satisfies Same<words.Ohlcv, client.Ohlcv>,
  true satisfies Same<words.OrderBook, client.OrderBook>,
  true satisfies Same<words.Trades, client.Trades>,
  true satisfies Same<words.MarketsPage, client.MarketsPage>,
  true satisfies Same<words.ExchangeEntry, client.Exchange>,
  true satisfies Same<z.infer<typeof serverStatus>, client.Status>,
  true satisfies Same<z.infer<typeof streams.tickerEvent>, client.TickerEvent>,
  true satisfies Same<z.infer<typeof streams.tradesEvent>, client.TradesEvent>,
  true satisfies Same<z.infer<typeof streams.orderBookEvent>, client.OrderBookEvent>,
  true satisfies Same<z.infer<typeof streams.ohlcvEvent>, client.OhlcvEvent>,
  true satisfies Same<z.infer<typeof streams.healthEvent>, client.HealthEvent>,
];

test('every answer and event of the server is what the client says it is', () => {
  expect(same).not.toContain(false);
});
