/** An ExchangeClient that notes what it is asked, and fails on demand. */
import type { ExchangeClient } from '../../../src/exchanges/exchange-client.js';

export class FakeExchangeClient implements ExchangeClient {
  readonly calls: string[] = [];
  /** Thrown by fetch and markets while set. */
  fault: Error | null = null;
  onCall = (): void => undefined;

  #answer<T>(call: string, value: T): Promise<T> {
    this.calls.push(call);
    this.onCall();
    return this.fault === null ? Promise.resolve(value) : Promise.reject(this.fault);
  }
  describe(exchange: string) {
    const capabilities = { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: null };
    return this.#answer('describe', {
      exchange,
      name: exchange,
      capabilities,
      watchable: [],
      intervals: [],
      bookIntegrity: 'snapshot' as const,
    });
  }
  markets() {
    return this.#answer('markets', { markets: [], loadedAt: 0 });
  }
  fetch() {
    return this.#answer('fetch', {
      body: new Uint8Array(),
      symbol: 'BTC/USDT',
      receivedAt: 0,
      closesAt: null,
    });
  }
  watch() {
    this.calls.push('watch');
    return { close: () => undefined };
  }
  health() {
    this.calls.push('health');
    return [];
  }
  close() {
    return this.#answer('close', undefined);
  }
}
