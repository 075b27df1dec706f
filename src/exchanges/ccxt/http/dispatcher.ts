/** Connections to the venues: one pool for REST, agents for WebSocket, both through the proxies of the environment. */
import { Agent as HttpAgent } from 'node:http';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';
import type { Millis } from '../../../schemas/common.js';
import { MAX_BODY_BYTES } from './response-body.js';

/** As in Config: URLs, empty where there is none; `no` is NO_PROXY's list. */
export interface ProxySettings {
  readonly https: string;
  readonly http: string;
  readonly no: string;
}

export const NO_PROXIES: ProxySettings = { https: '', http: '', no: '' };

/** Sockets per venue host; CCXT's own bound of 256 opened 254 for 300 calls. */
const MAX_CONNECTIONS = 16;
const KEEP_ALIVE_MS: Millis = 30_000;
const MAX_KEEP_ALIVE_MS: Millis = 300_000;

/** `connectTimeoutMs` bounds TCP and TLS; the rest of a request's time is the transport's to watch. */
export const createDispatcher = (proxy: ProxySettings, connectTimeoutMs: Millis): Dispatcher => {
  const options: Agent.Options = {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: MAX_KEEP_ALIVE_MS,
    maxResponseSize: MAX_BODY_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectTimeoutMs },
  };
  if (proxy.https === '' && proxy.http === '') return new Agent(options);
  // Empty strings keep it from reading the environment behind the settings' back.
  return new EnvHttpProxyAgent({
    ...options,
    httpProxy: proxy.http,
    httpsProxy: proxy.https,
    noProxy: proxy.no,
  });
};

/** Whether NO_PROXY (names and their subdomains, optional ports, `*`) exempts a host. */
const isExempt = ({ no }: ProxySettings, { hostname, port, protocol }: URL): boolean => {
  const actualPort = port !== '' ? port : protocol === 'wss:' ? '443' : '80';
  return no
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', wanted = actualPort] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      return wanted === actualPort && (hostname === name || hostname.endsWith(`.${name}`));
    });
};

export interface SocketAgents {
  /** What CCXT's WebSocket client is to connect with; undefined for its own default. */
  forUrl(url: string): HttpAgent | undefined;
  close(): void;
}

/** Agents for WebSocket URLs: CCXT knows neither HTTPS_PROXY nor, without an agent, any `ws://` at all. */
export const createSocketAgents = (proxy: ProxySettings): SocketAgents => {
  const plain = new HttpAgent();
  const proxied = new Map<string, HttpAgent>();
  return {
    forUrl: (url) => {
      const parsed = new URL(url);
      const secure = parsed.protocol === 'wss:';
      const through = secure && proxy.https !== '' ? proxy.https : proxy.http;
      if (through === '' || isExempt(proxy, parsed)) return secure ? undefined : plain;
      let agent = proxied.get(through);
      if (agent === undefined) {
        agent = new HttpsProxyAgent(through);
        proxied.set(through, agent);
      }
      return agent;
    },
    close: () => {
      plain.destroy();
      for (const agent of proxied.values()) agent.destroy();
    },
  };
};
