/** The server that a command asks: one that runs already, or one inside this process for as long as the command takes. */
import { buildApp } from '../../app/app.js';
import { watchFaults } from '../../app/process-faults.js';
import type { ProgramProcess } from '../../app/program-process.js';
import { readSettings } from '../../app/settings.js';
import { WITHOUT_ACCESS } from '../../config/access-settings.js';
import type { Variables } from '../../config/config.js';
import { createLog } from '../../log/pino-log.js';
import { UsageError } from '../command.js';

/** A key for a server that asks for one; never an argument, which other users of the machine can see. */
const KEY_VARIABLE = 'CRYPTO_DATA_KEY';
const ANSWER_LIMIT_MS = 60_000;

/** The server's error, in one sentence. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

export interface MarketServer {
  /** Ends with a slash. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Throws Refused. */
  get(path: string, query: Readonly<Record<string, string | undefined>>, accept?: string): Promise<Answer>;
  close(): Promise<void>;
}

interface Answer {
  readonly text: string;
  readonly headers: Headers;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

const detailOf = (text: string, status: number): string => {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'detail' in body && typeof body.detail === 'string')
      return oneLine(body.detail);
  } catch {
    // A proxy's page.
  }
  return `The server answered ${status}.`;
};

const clientOf = (url: string, key: string | undefined, signal: AbortSignal): Omit<MarketServer, 'close'> => {
  const headers: Readonly<Record<string, string>> = key === undefined ? {} : { 'x-api-key': key };
  return {
    url,
    headers,
    async get(path, query, accept = 'application/json') {
      const address = new URL(path, url);
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) address.searchParams.set(name, value);
      let response: Response;
      let text: string;
      try {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_LIMIT_MS)]);
        response = await fetch(address, { headers: { ...headers, accept }, signal: limit });
        text = await response.text();
      } catch {
        throw new Refused(`There is no answer from ${address.origin}.`);
      }
      if (!response.ok) throw new Refused(detailOf(text, response.status));
      return { text, headers: response.headers };
    },
  };
};

const addressOf = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '')
    throw new UsageError('--url must be an http(s) URL without credentials and without ?.');
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
};

/** Settings of a server that serves this process alone: on a free port of this machine, beside whatever else runs here. */
const OWN_SETTINGS: Variables = {
  ...{ HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '', ALLOWED_HOSTS: '' },
  ...{ REDIS_ENABLED: 'false', BUS: 'none', STORE_URL: 'none', BACKFILL: '' },
  ...{ CLIENT_RATE_LIMIT_REQUESTS: '0', GRAPHQL: 'false', DASHBOARD: 'false', UDF: 'false' },
  ...WITHOUT_ACCESS,
};

/** `url`: of a running server; without it one is started. Throws UsageError and ConfigError. */
export const openServer = async (
  program: ProgramProcess,
  { url, signal }: { readonly url: string | undefined; readonly signal: AbortSignal },
): Promise<MarketServer> => {
  const { env, stderr } = program;
  if (url !== undefined)
    return { ...clientOf(addressOf(url), env[KEY_VARIABLE], signal), close: () => Promise.resolve() };
  const config = readSettings({ LOG_LEVEL: 'ERROR', ...env, ...OWN_SETTINGS });
  const log = await createLog(config, { destination: stderr, pretty: false });
  watchFaults(program, log);
  const app = await buildApp(config, { log });
  const [address = ''] = await app.listenOn({ host: config.host, port: config.port });
  return { ...clientOf(`${address}/`, undefined, signal), close: () => app.close() };
};
