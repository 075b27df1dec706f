/** The feeder's side of `exchanges`: one client for all serving processes. */
import { STEADY_ORIGIN, steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import type { CallOptions, ExchangeClient, WatchSink } from '../exchanges/exchange-client.js';
import { serveWorker } from '../exchanges/worker/serve-worker.js';
import type { FramedPort } from './framed-port.js';
import type { SharedWatch, SharedWatches } from './shared-watches.js';

/** All processes of a machine have the kernel's monotonic clock in common, and each an origin of its own. */
const byOwnClock = <T extends CallOptions>(options: T): T => ({
  ...options,
  deadline: options.deadline + STEADY_ORIGIN,
});

/** Until the port closes. */
export const serveExchanges = (
  port: FramedPort,
  { client, watches, log }: { client: ExchangeClient; watches: SharedWatches; log: Log },
): void => {
  const open = new Set<SharedWatch>();
  const ofProcess: ExchangeClient & { gateStates: () => [] } = {
    describe: (exchange) => client.describe(exchange),
    markets: (exchange, options) => client.markets(exchange, byOwnClock(options)),
    fetch: (request, options) => client.fetch(request, byOwnClock(options)),
    watch(topic, sink: WatchSink) {
      // A feed may end before there is anything to close.
      const own: { watch?: SharedWatch; hasEnded?: true } = {};
      const onEnd: WatchSink['onEnd'] = (error) => {
        own.hasEnded = true;
        if (own.watch !== undefined) open.delete(own.watch);
        sink.onEnd(error);
      };
      const watch = (own.watch = watches.watch(topic, { ...sink, onEnd }));
      if (own.hasEnded === undefined) open.add(watch);
      return watch;
    },
    health: () => client.health(),
    gateStates: () => [],
    close: () => Promise.resolve(),
  };
  const served = serveWorker({
    port,
    createClient: () => ofProcess,
    threadStats: () => ({ memoryBytes: 0, eventLoopDelayP99Ms: 0, unhandledRejections: 0 }),
    monotonic: steadyNow,
  });
  port.once('close', () => {
    for (const watch of open) watch.abandon();
    served
      .close()
      .catch((error: unknown) => log.warn({ err: error }, 'a serving process did not leave cleanly'));
  });
};
