/** One GET to CoinMarketCap: bounded in time (the body included) and in size. The key travels in a header only. */
import { EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import type { z } from 'zod';
import type { Millis } from '../schemas/common.js';
import { statusAnswer } from './answers.js';
import { CoinMarketCapFault, failureOf, faultOf } from './faults.js';

const TIMEOUT_MS = 5_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_CONNECTIONS = 4;

export interface CoinMarketCapTransport {
  /** The answer in its shape. Rejects with a CoinMarketCapFault. */
  get<T extends z.ZodType>(
    call: {
      readonly path: string;
      readonly query: Readonly<Record<string, string | number>>;
      readonly deadline: Millis;
    },
    shape: T,
  ): Promise<z.output<T>>;
  close(): Promise<void>;
}

export interface TransportDeps {
  readonly apiKey: string;
  /** With or without its version, which each call brings along. */
  readonly url: string;
  readonly proxy: { readonly https: string; readonly http: string; readonly no: string };
  readonly userAgent: string;
  readonly now: () => Millis;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
}

const withoutVersion = (url: string): string => url.replace(/\/+$/, '').replace(/\/v\d+$/, '');

/** A Retry-After in seconds, bounded to a day; the date form is not used by CoinMarketCap. */
const retryAfterOf = (header: string | string[] | undefined): Millis | undefined =>
  typeof header === 'string' && /^\d{1,5}$/.test(header) ? Number(header) * 1000 : undefined;

const read = async (body: Dispatcher.ResponseData['body']): Promise<unknown> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw failureOf('upstream_bad_response');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return undefined;
  }
};

const asFault = (thrown: unknown): CoinMarketCapFault => {
  if (thrown instanceof CoinMarketCapFault) return thrown;
  const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
  // The cause is dropped on purpose: it may hold the request.
  return failureOf(timedOut ? 'upstream_timeout' : 'upstream_unavailable');
};

export const createTransport = ({
  apiKey,
  url,
  proxy,
  userAgent,
  now,
  monotonic,
}: TransportDeps): CoinMarketCapTransport => {
  const base = withoutVersion(url);
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: proxy.http,
    httpsProxy: proxy.https,
    noProxy: proxy.no,
    connections: MAX_CONNECTIONS,
  });
  const headers = { 'x-cmc_pro_api_key': apiKey, accept: 'application/json', 'user-agent': userAgent };

  return {
    async get({ path, query, deadline }, shape) {
      const search = new URLSearchParams();
      for (const [name, value] of Object.entries(query)) search.set(name, String(value));
      const left = Math.max(1, Math.min(TIMEOUT_MS, deadline - monotonic()));
      try {
        const target = `${base}${path}?${search.toString()}`;
        const answer = await request(target, { dispatcher, headers, signal: AbortSignal.timeout(left) });
        const json = await read(answer.body);
        const status = statusAnswer.safeParse(json);
        const code =
          status.success && status.data.status.error_code !== 0 ? status.data.status.error_code : null;
        if (answer.statusCode !== 200 || code !== null) {
          const retryAfterMs = retryAfterOf(answer.headers['retry-after']);
          throw faultOf({ status: answer.statusCode, code, retryAfterMs }, now());
        }
        const parsed = shape.safeParse(json);
        if (!parsed.success) throw failureOf('upstream_bad_response');
        return parsed.data;
      } catch (thrown) {
        throw asFault(thrown);
      }
    },
    close: () => dispatcher.destroy(),
  };
};
