/** Where the feeder is reached by the serving processes. */
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import type { Log } from '../log/log.js';
import { FEEDER, type Wanted } from './feeder-protocol.js';
import type { FramedPort } from './framed-port.js';
import { listenLocally, socketPath, type LocalServer } from './local-socket.js';
import { serveExchanges } from './serve-exchanges.js';
import { serveServices, type ServedServices } from './serve-services.js';
import { createSharedWatches } from './shared-watches.js';

export interface FeederServerOptions extends ServedServices {
  readonly client: ExchangeClient;
  readonly log: Log;
}

/** `folder`: of the sockets. */
export const startFeederServer = (
  folder: string,
  { client, log, ...services }: FeederServerOptions,
): Promise<LocalServer> => {
  const watches = createSharedWatches(client);
  const serve: Readonly<Record<Wanted, (port: FramedPort) => void>> = {
    exchanges: (port) => serveExchanges(port, { client, watches, log }),
    services: (port) => serveServices(port, services),
  };
  return listenLocally(socketPath(folder, FEEDER), (port) => {
    port.once('message', (wanted) => serve[wanted as Wanted](port));
  });
};
