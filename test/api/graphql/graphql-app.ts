/** The whole app over the sandbox's venues, without workers, listening on loopback, and its GraphQL asked by HTTP. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { buildApp, type AppOverrides } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { silentLog } from '../../../src/log/log.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { calmGauge } from '../../support/app.js';

interface GraphqlError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: {
    readonly code: string;
    readonly retryable: boolean;
    readonly limit?: number;
    readonly cost?: number;
    readonly request_id?: string;
    readonly upstream?: { readonly exchange: string };
  };
}
interface GraphqlResponse {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly GraphqlError[];
}
export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly body: GraphqlResponse & { readonly code?: string };
}

export class GraphqlRig {
  readonly sandbox: Sandbox;
  readonly app: FastifyInstance;
  readonly url: string;

  private constructor(sandbox: Sandbox, app: FastifyInstance) {
    this.sandbox = sandbox;
    this.app = app;
    const { port } = app.server.address() as AddressInfo;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** `sandbox`: one to share; it is not closed with the rig. */
  static async start(
    sandbox: Sandbox,
    env: Readonly<Record<string, string>> = {},
    overrides: AppOverrides = {},
  ): Promise<GraphqlRig> {
    const config = loadConfig({
      SANDBOX: sandbox.url,
      EXCHANGE_WORKERS: '0',
      REDIS_ENABLED: 'false',
      STORE_URL: 'none',
      ENABLED_EXCHANGES: 'binance,kraken,coinbasepro',
      EXCHANGE_OPTIONS: '{"kraken":{"rateLimit":1},"coinbaseexchange":{"rateLimit":1}}',
      MAX_RETRIES: '0',
      ...env,
    });
    const app = await buildApp(config, { log: silentLog, loadGauge: calmGauge, ...overrides });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return new GraphqlRig(sandbox, app);
  }

  get wsUrl(): string {
    return `${this.url.replace('http', 'ws')}/graphql`;
  }

  async send(init: RequestInit & { readonly path?: string }): Promise<Asked> {
    const { path = '/graphql', ...rest } = init;
    const answer = await fetch(this.url + path, rest);
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: text === '' ? {} : (JSON.parse(text) as Asked['body']),
    };
  }

  post(body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Asked> {
    return this.send({
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  ask(query: string, variables?: object): Promise<Asked> {
    return this.post({ query, variables });
  }

  /** By GET, each parameter as JSON but the query. */
  get(
    parameters: Readonly<Record<string, string | object>>,
    headers?: Record<string, string>,
  ): Promise<Asked> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters))
      search.set(name, typeof value === 'string' ? value : JSON.stringify(value));
    return this.send({
      path: `/graphql?${search.toString()}`,
      ...(headers === undefined ? {} : { headers }),
    });
  }

  async rest(path: string): Promise<Readonly<Record<string, unknown>>> {
    return (await (await fetch(this.url + path)).json()) as Readonly<Record<string, unknown>>;
  }

  close(): Promise<void> {
    return this.app.close();
  }
}

/** Ticks stand still, so that two questions in a row have the same answer. */
export const quietSandbox = (now: () => number = Date.now): Promise<Sandbox> =>
  startSandbox({ marketsPerVenue: 60, ticksPerSecond: 0, weightLimit: Infinity, now });
