// Simulated Binance, Kraken, Coinbase Exchange and CoinMarketCap on loopback: no network, no keys, a living market.
import { type AddressInfo } from 'node:net';
import { createChannelHub } from './channel-hub.js';
import { createControl, type SandboxControl } from './control.js';
import { handleControl } from './control-routes.js';
import { createFaultBook } from './faults.js';
import { createHttpServer } from './http-server.js';
import { type Millis } from './intervals.js';
import { createMarketTruth, type MarketTruth } from './market.js';
import { createRequestLog } from './request-log.js';
import { createTickClock } from './tick-clock.js';
import { createBinance } from './venues/binance.js';
import { createBinanceFeed } from './venues/binance-feed.js';
import { createCoinbaseExchange } from './venues/coinbase-exchange.js';
import { createCoinbaseExchangeFeed } from './venues/coinbase-exchange-feed.js';
import { createCoinMarketCap } from './venues/coinmarketcap.js';
import { listCmcAssets } from './venues/coinmarketcap-assets.js';
import { cmcPrice, type CmcPrice } from './venues/coinmarketcap-records.js';
import { createKraken } from './venues/kraken.js';
import { createKrakenFeed } from './venues/kraken-feed.js';
import { attachWebSockets } from './ws-server.js';

export interface SandboxOptions {
  /** 0 (default) takes a free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Two sandboxes with the same seed tell the same story. Default 1. */
  readonly seed?: number;
  /** Markets a venue lists; default its real-looking ones, about a dozen. Further ones are synthetic. */
  readonly marketsPerVenue?: number;
  /** Live ticks of each market, 0..100 a second; default 2. */
  readonly ticksPerSecond?: number;
  /** All markets tick at the same instants; default: spread over the period. */
  readonly inStep?: boolean;
  /** Added to every REST answer; default 0. */
  readonly latencyMs?: Millis;
  /** On top of it, up to this much; default 0. */
  readonly jitterMs?: Millis;
  /** Binance's request weight a minute, beyond which it answers 429 and then 418; default 6000, Infinity is off. */
  readonly weightLimit?: number;
  /** Serves the control API below `/_control/`; default true. `Sandbox.control` is there all the same. */
  readonly control?: boolean;
  /** The sandbox's clock; default Date.now. */
  readonly now?: () => Millis;
}

export interface Sandbox {
  /** `http://127.0.0.1:<port>`; the venue's host is the first path segment. */
  readonly url: string;
  /** `ws://127.0.0.1:<port>`, likewise. */
  readonly wsUrl: string;
  /** What the market truly is, to compare with what a client received. */
  readonly market: MarketTruth;
  /** What simulated CoinMarketCap publishes of the asset with this id at a time. @throws RangeError for an unknown id */
  readonly coinMarketCap: (id: number, convert: string, time: Millis) => CmcPrice;
  readonly control: SandboxControl;
  /** Ends everything at once, hanging answers included. */
  readonly close: () => Promise<void>;
}

/** Starts the sandbox. @throws the listening error, e.g. EADDRINUSE */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { port = 0, host = '127.0.0.1', seed = 1, now = Date.now } = options;
  const { ticksPerSecond = 2, inStep = false, latencyMs = 0, jitterMs = 0, weightLimit = 6000 } = options;
  const truth = createMarketTruth({ seed, perVenue: options.marketsPerVenue });
  const faults = createFaultBook(seed);
  const log = createRequestLog();
  const clock = createTickClock({ now, perSecond: ticksPerSecond, inStep });
  const hub = createChannelHub({ now, clock });
  const server = createHttpServer({
    venues: [
      createBinance({ truth, weightLimit }),
      createKraken({ truth }),
      createCoinbaseExchange({ truth }),
      createCoinMarketCap({ truth }),
    ],
    faults,
    log,
    now,
    latencyMs,
    jitterMs,
    seed,
    control:
      options.control === false
        ? null
        : (request, response) => void handleControl(request, response, { control, truth, now }),
  });
  const ws = attachWebSockets(server, {
    venues: [
      createBinanceFeed({ truth }),
      createKrakenFeed({ truth }),
      createCoinbaseExchangeFeed({ truth }),
    ],
    hub,
    faults,
    log,
    now,
  });
  const control = createControl({ seed, faults, log, clock, truth, ws, channels: hub.count });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  const authority = `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;

  return {
    url: `http://${authority}`,
    wsUrl: `ws://${authority}`,
    market: truth,
    coinMarketCap: (id, convert, time) => {
      const asset = listCmcAssets(truth).find((candidate) => candidate.id === id);
      if (!asset) throw new RangeError(`CoinMarketCap has no asset ${id}`);
      return cmcPrice(asset, convert, time);
    },
    control,
    close: () =>
      new Promise((resolve) => {
        clock.close();
        ws.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
