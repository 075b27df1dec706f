// Real CCXT clients pointed at a sandbox, and a clock that tests move by hand.
import { Agent } from 'node:http';
import ccxt, { type Exchange } from 'ccxt';
import { type ExchangeId } from '../../../src/sandbox/listings.js';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.js';

/** A quiet moment in the middle of a minute, so that candles are open. */
export const NOON = Date.UTC(2026, 2, 3, 12, 0, 30);

export interface Clock {
  now: number;
}

export async function sandboxAt(
  time: number,
  options: SandboxOptions = {},
): Promise<{ sandbox: Sandbox; clock: Clock }> {
  const clock: Clock = { now: time };
  const sandbox = await startSandbox({ seed: 7, ...options, now: () => clock.now });
  return { sandbox, clock };
}

/** Puts the sandbox's address in front of every URL of an instance: `https://host/path` becomes `base/host/path`. */
function rewrite(urls: Record<string, unknown>, exchange: Exchange, sandbox: Sandbox): void {
  for (const [name, value] of Object.entries(urls)) {
    if (typeof value === 'string') {
      urls[name] = value
        .replace('{hostname}', String(exchange.hostname))
        .replace(/^http(s?):\/\//, `${sandbox.url}/`)
        .replace(/^ws(s?):\/\//, `${sandbox.wsUrl}/`);
    } else if (typeof value === 'object' && value !== null)
      rewrite(value as Record<string, unknown>, exchange, sandbox);
  }
}

/** An unmodified CCXT Pro client; its pacing is off, and Coinbase's level2_batch needs no keys. */
export function connect(id: ExchangeId, sandbox: Sandbox): Exchange {
  const options = { enableRateLimit: false, timeout: 2_000, options: { ws: { cost: 0.01 } } };
  const exchange = new ccxt.pro[id](options) as Exchange;
  rewrite(exchange.urls.api, exchange, sandbox);
  // CCXT refuses plain ws:// unless an agent is set.
  exchange.httpAgent = new Agent();
  if (id === 'coinbaseexchange') Object.assign(exchange, { authenticate: () => ({}) });
  return exchange;
}

/** Moves the clock on until the promise settles: a live market in fast motion. */
export async function whileTicking<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  const timer = setInterval(() => (clock.now += 100), 4);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

export const SYMBOLS: Readonly<Record<ExchangeId, string>> = {
  binance: 'BTC/USDT',
  kraken: 'BTC/USD',
  coinbaseexchange: 'BTC/USD',
};
