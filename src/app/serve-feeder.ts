/** The feeder as a process: the venues' workers and the candle store, for the processes that serve clients. */
import type { Config } from '../config/config.js';
import { listExchangeIds } from '../exchanges/ccxt/loader.js';
import { createExchangeNames } from '../exchanges/exchange-names.js';
import { createLedger } from '../ledger/ledger.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import { createMetrics } from '../metrics/metrics.js';
import { startFeederServer } from '../processes/feeder-server.js';
import type { Place } from '../processes/place.js';
import { connectPrimary } from '../processes/primary-link.js';
import { withSharedAnswers } from '../processes/shared-answers.js';
import { VERSION } from '../config/version.js';
import { busPlaceOf } from './cluster.js';
import { createCoinMarketCap, openStore, storeOpened, type Own } from './drivers.js';
import { endedBySignal } from './ending-signals.js';
import { buildExchanges } from './exchanges.js';
import { ledgerSettings } from './ledger-settings.js';
import { watchFaults } from './process-faults.js';
import type { ProgramProcess } from './program-process.js';

/** Nobody waits for it any more when it ends. */
const END_AFTER_MS = 5_000;

export interface FeederOptions {
  readonly place: Place;
  readonly log: Log;
  readonly onListening: () => void;
}

/** Resolves with the exit code. @throws ConfigError where the settings turn out not to be usable */
export const serveFeeder = async (
  config: Config,
  program: ProgramProcess,
  { place, log, onListening }: FeederOptions,
): Promise<number> => {
  const unhandledRejections = watchFaults(program, log);
  const closers: (() => Promise<void> | void)[] = [];
  const own: Own = (_name, close) => void closers.push(close);
  const now = Date.now;
  const monotonic = steadyNow;
  const { folder, name } = place;
  const link = await connectPrimary({ folder, name, serverId: '', log, monotonic });
  own('primary', () => link.close());
  const names = createExchangeNames({ enabled: config.enabledExchanges, knownIds: listExchangeIds() });
  const sandboxUrl = typeof config.sandbox === 'string' ? config.sandbox : null;
  const base = { config, log, now, monotonic, names, sandboxUrl, bus: busPlaceOf(config) };
  const store = await openStore(base, own);
  const { exchanges, upstream, workers, start } = await buildExchanges(base, {}, Math.random);
  own('exchanges', () => exchanges.close());
  const coinMarketCap = await createCoinMarketCap(base);
  own('CoinMarketCap', () => coinMarketCap?.close());
  const ledger =
    store === null
      ? null
      : createLedger({
          ...{ handle: store, exchanges, enabled: names.exchangeIds, log, now, monotonic },
          settings: ledgerSettings(config, names),
        });
  own('candle ledger', () => ledger?.close());
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse())
      try {
        await end();
      } catch (error) {
        log.warn({ err: error }, 'a service did not close cleanly');
      }
  };
  if (store !== null)
    try {
      await storeOpened(store);
    } catch (thrown) {
      await close();
      throw thrown;
    }
  const server = await startFeederServer(folder, {
    ...{ store, ledger, coinMarketCap, log },
    client: withSharedAnswers(exchanges, { ttl: config.ttl, now }),
  });
  own('server', () => server.close());
  const metrics = createMetrics({
    ...{ version: VERSION, upstream },
    sources: {
      ...{ unhandledRejections, workers },
      exchanges: () => exchanges.health(),
      sharesBudgets: base.bus !== null,
      coinMarketCap: () => coinMarketCap?.stats() ?? null,
      ledger: () => ledger?.stats() ?? null,
    },
  });
  await link.start(() => metrics.text());
  const ended = endedBySignal({ process: program, log, end: close, endAfterMs: END_AFTER_MS });
  start();
  ledger?.start();
  onListening();
  return ended;
};
