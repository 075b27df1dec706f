// A feed may be given up while its socket waits to be dialled again; nobody would ever close what is dialled after that.
import { expect, it } from 'vitest';
import { createSocketAgents } from '../../../src/exchanges/ccxt/feeds/connections.js';
import { NO_PROXIES } from '../../../src/exchanges/ccxt/http/transport.js';
import { createInstance } from '../../../src/exchanges/ccxt/instance.js';
import { loadExchangeClass } from '../../../src/exchanges/ccxt/loader.js';
import { startSandbox } from '../../../src/sandbox/sandbox.js';

it('a socket whose turn comes after its instance closed is not dialled', async () => {
  const sandbox = await startSandbox();
  const unused = (): never => {
    throw new Error('Nobody is asked over REST.');
  };
  const socketAgents = createSocketAgents(NO_PROXIES);
  const make = async () =>
    createInstance(await loadExchangeClass('binance'), {
      exchange: 'binance',
      transport: unused,
      gate: { admit: unused, report: unused, state: unused, states: unused } as never,
      socketAgents,
      options: undefined,
      sandboxUrl: sandbox.url,
      userAgent: 'test',
      monotonic: Date.now,
      now: Date.now,
    });
  const url = `${sandbox.wsUrl}/stream.binance.com:9443/ws`;
  const given = await make();
  const [before, during] = [given.ccxt.client(url), given.ccxt.client(`${url}/btcusdt@ticker`)];
  await given.close();
  // As CCXT does when the back-off is over.
  before.createConnection();
  during.createConnection();
  // Made by a call that was under way when the instance closed.
  given.ccxt.client(url).createConnection();

  const kept = await make();
  kept.ccxt.client(url).createConnection();
  await expect.poll(() => sandbox.control.listSockets().length).toBe(1);
  expect(sandbox.control.requestLog().filter(({ kind }) => kind === 'websocket')).toHaveLength(1);
  await kept.close();
  socketAgents.close();
  await sandbox.close();
});
