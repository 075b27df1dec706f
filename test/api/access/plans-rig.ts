/** The app over simulated venues, with keys and plans in a store of the test. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';
import type { Access } from '../../../src/access/access.js';
import type { NewKey } from '../../../src/access/keys.js';
import { limitsOfBody, textOfLimits } from '../../../src/access/plan-limits.js';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { silentLog } from '../../../src/log/log.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import type { PlanLimitsBody } from '../../../src/schemas/access.js';
import { calmGauge } from '../../support/app.js';
import { issueTo } from './access-app.js';

type Env = Readonly<Record<string, string>>;

export const startVenues = (): Promise<Sandbox> =>
  startSandbox({ marketsPerVenue: 60, ticksPerSecond: 0, weightLimit: Infinity });

export class PlansRig {
  readonly app: FastifyInstance;
  readonly access: Access;
  readonly port: number;
  readonly #sockets: WebSocket[] = [];

  private constructor(app: FastifyInstance, access: Access) {
    this.app = app;
    this.access = access;
    this.port = (app.server.address() as AddressInfo).port;
  }

  static async start(venues: Sandbox, file: string, env: Env = {}): Promise<PlansRig> {
    const config = loadConfig({
      ...{ SANDBOX: venues.url, EXCHANGE_WORKERS: '0', REDIS_ENABLED: 'false', STORE_URL: 'none' },
      ...{ ENABLED_EXCHANGES: 'binance,kraken,coinbasepro', MAX_RETRIES: '0', TICKER_CACHE_TTL: '60' },
      ...{ AUTH_MODE: 'required', AUTH_STORE: `sqlite:${file}` },
      EXCHANGE_OPTIONS: '{"binance":{"rateLimit":1},"kraken":{"rateLimit":1}}',
      ...env,
    });
    const app = await buildApp(config, { log: silentLog, loadGauge: calmGauge });
    await app.listen({ port: 0, host: '127.0.0.1' });
    if (app.access === null) throw new Error('access is off');
    return new PlansRig(app, app.access);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.terminate();
    await this.app.close();
  }

  async setPlan(body: PlanLimitsBody, name = 'trial'): Promise<void> {
    const limits = textOfLimits(limitsOfBody(body));
    await this.access.store().setPlan({ name, limits }, { actor: 'cli', at: Date.now() });
    await this.access.changed();
  }

  issue(members: Partial<NewKey> = {}): Promise<{ readonly id: string; readonly key: string }> {
    return issueTo(this.access, members);
  }

  /** A key whose plan is this. */
  async keyOf(body: PlanLimitsBody, members: Partial<NewKey> = {}): Promise<string> {
    await this.setPlan(body);
    return (await this.issue({ plan: 'trial', ...members })).key;
  }

  get(url: string, key?: string) {
    return this.app.inject({ url, headers: key === undefined ? {} : { authorization: `Bearer ${key}` } });
  }

  async me(key?: string): Promise<Record<string, unknown>> {
    return (await this.get('/v1/me', key)).json<Record<string, unknown>>();
  }

  /** Resolves when the connection is open; rejects where its upgrade is refused. */
  async open(path: string, key: string): Promise<WebSocket> {
    const headers = { authorization: `Bearer ${key}` };
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, { headers });
    this.#sockets.push(socket);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.on('error', reject);
    });
    return socket;
  }
}

/** The answer to a subscription to one ticker. */
export const subscribe = (
  socket: WebSocket,
  symbol: string,
  exchange = 'binance',
): Promise<Record<string, unknown>> => {
  const req_id = `${exchange} ${symbol}`;
  const answered = new Promise<Record<string, unknown>>((resolve) => {
    const listen = (data: Buffer): void => {
      const event = JSON.parse(data.toString()) as Record<string, unknown>;
      if (event['event_type'] !== 'reply' || event['req_id'] !== req_id) return;
      socket.off('message', listen);
      resolve(event);
    };
    socket.on('message', listen);
  });
  const params = { channel: 'ticker', exchange, symbol: [symbol] };
  socket.send(JSON.stringify({ method: 'subscribe', req_id, params }));
  return answered;
};
