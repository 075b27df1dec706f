/**
 * Requests to issuers: bounded in time (the body included) and in size, redirects not followed, through the proxies of
 * the settings. What an issuer answers decides who is let in, so nothing but the address that was named is asked.
 */
import { EnvHttpProxyAgent, request } from 'undici';
import type { Millis } from '../../schemas/common.js';

/** Of one request, with its body. */
const TIMEOUT_MS: Millis = 5_000;
const MAX_BODY_BYTES = 256 * 1024;
/** To one issuer. */
const MAX_CONNECTIONS = 8;

/** Why an issuer's answer is of no use: in a few words, without anything of the answer. */
export class IssuerFault extends Error {
  override readonly name = 'IssuerFault';
}

export interface IssuerHttp {
  /** The JSON of a 200. Rejects with an IssuerFault. */
  getJson(url: string): Promise<unknown>;
  /** The JSON of a 200 to a form with Basic credentials. Rejects with an IssuerFault. */
  postForm(url: string, form: URLSearchParams, basic: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface IssuerHttpOptions {
  readonly proxy: { readonly https: string; readonly http: string; readonly no: string };
  readonly userAgent: string;
  /** Default: 5 s. */
  readonly timeoutMs?: Millis | undefined;
}

const ignore = (): void => undefined;

const readJson = async (body: AsyncIterable<Buffer>): Promise<unknown> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new IssuerFault('the answer is too large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch {
    throw new IssuerFault('the answer is no JSON');
  }
};

const asFault = (thrown: unknown): IssuerFault => {
  if (thrown instanceof IssuerFault) return thrown;
  const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
  // The cause is dropped on purpose: it may hold the request.
  return new IssuerFault(timedOut ? 'no answer in time' : 'not reachable');
};

export const createIssuerHttp = ({
  proxy,
  userAgent,
  timeoutMs = TIMEOUT_MS,
}: IssuerHttpOptions): IssuerHttp => {
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: proxy.http,
    httpsProxy: proxy.https,
    noProxy: proxy.no,
    connections: MAX_CONNECTIONS,
  });
  const common = { accept: 'application/json', 'user-agent': userAgent };

  const ask = async (
    url: string,
    call: {
      readonly method: 'GET' | 'POST';
      readonly headers?: Record<string, string>;
      readonly body?: string;
    },
  ): Promise<unknown> => {
    try {
      const { method, headers = {}, body = null } = call;
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await request(url, {
        method,
        body,
        headers: { ...common, ...headers },
        dispatcher,
        signal,
      });
      if (answer.statusCode !== 200) {
        // What nobody reads of it fails when it is given up, which is no fault of anybody's.
        answer.body.on('error', ignore).destroy();
        throw new IssuerFault(`status ${answer.statusCode}`);
      }
      return await readJson(answer.body as AsyncIterable<Buffer>);
    } catch (thrown) {
      throw asFault(thrown);
    }
  };

  return {
    getJson: (url) => ask(url, { method: 'GET' }),
    postForm: (url, form, basic) =>
      ask(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          authorization: `Basic ${basic}`,
        },
        body: form.toString(),
      }),
    close: () => dispatcher.destroy(),
  };
};
