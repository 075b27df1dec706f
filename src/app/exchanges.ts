/** Constructs the exchange client of the server: the raw client, and the wrappers that each call goes through. */
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { withCircuitBreaker } from '../exchanges/resilience/circuit-breaker.js';
import { withLearntCapabilities } from '../exchanges/resilience/learnt-capabilities.js';
import { withRetry } from '../exchanges/resilience/retrying-client.js';
import { withShutdown, type ShutdownClient } from '../exchanges/resilience/shutdown-client.js';
import { createUpstreamMeter, type UpstreamMeter } from '../metrics/upstream-meter.js';
import { createRawClient, type Base } from './drivers.js';
import type { ServerPart } from './server-part.js';

type RawClient = Awaited<ReturnType<typeof createRawClient>>;

interface Exchanges extends Pick<RawClient, 'workers' | 'start'> {
  readonly exchanges: ShutdownClient;
  readonly upstream: UpstreamMeter;
}

/** What the feeder does for all processes is not done once more here. */
export const exchangesOfPart = ({ exchanges }: ServerPart): Exchanges => ({
  ...{ exchanges: withShutdown(exchanges), upstream: createUpstreamMeter() },
  ...{ workers: () => [], start: () => undefined },
});

/** `exchangeClient`: instead of the raw client; the wrappers are the same. `random`: 0 (inclusive) to 1. */
export const buildExchanges = async (
  base: Base,
  { exchangeClient }: { readonly exchangeClient?: ExchangeClient },
  random: () => number,
): Promise<Exchanges> => {
  const { config, log, now, monotonic } = base;
  const {
    client: raw,
    workers,
    start,
  } = exchangeClient === undefined
    ? await createRawClient(base)
    : { client: exchangeClient, workers: () => [], start: () => undefined };
  // Measured inside retry and circuit breaker: each attempt counts, a refusal by the circuit breaker does not.
  const upstream = createUpstreamMeter();
  const learning = withLearntCapabilities(upstream.measure(raw));
  const guarded = withCircuitBreaker(learning, { now, monotonic, log });
  const observe: typeof upstream.retried = (retry) => {
    upstream.retried(retry);
  };
  const retrying = withRetry(guarded, { settings: config.retry, now: monotonic, random, observe });
  return { exchanges: withShutdown(retrying), upstream, workers, start };
};
