/** One CCXT exchange, made safe for a server that runs for months. docs/ccxt.md says what each guard is for. */
import type { ExchangeOptions } from '../../config/config.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { UpstreamGate } from '../rate-limit/upstream-gate.js';
import { correctedMarkets } from '../venues/corrections.js';
import { venueQuirks } from '../venues/venue-quirks.js';
import { judgeAnswers } from './answers.js';
import { withPace } from './call-context.js';
import { type CcxtClass, type CcxtExchange, isMethod } from './ccxt-exchange.js';
import { noteAlive, timePongs } from './feeds/connections.js';
import type { SocketAgents } from './http/dispatcher.js';
import type { Transport } from './http/transport.js';
import { inPlaceOf, tolerateEmptyLists } from './market-lists.js';

/** A URL table of CCXT's may be this deep; they are two or three deep. */
const MAX_DEPTH = 6;

const rewriteUrl = (url: string, sandbox: URL): string => {
  // Hosts may hold CCXT's placeholders (`https://api.{hostname}`), which are no valid URLs: text is cut, not parsed.
  const match = /^(https?|wss?):\/\/([^/]+)(\/.*)?$/.exec(url);
  if (match === null) return url;
  const [, scheme = '', host = '', path = ''] = match;
  const secure = sandbox.protocol === 'https:';
  const protocol = scheme.startsWith('ws') ? (secure ? 'wss:' : 'ws:') : sandbox.protocol;
  return `${protocol}//${sandbox.host}/${host}${path}`;
};

const rewrite = (value: unknown, sandbox: URL, depth = 0): unknown => {
  if (typeof value === 'string') return rewriteUrl(value, sandbox);
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((item) => rewrite(item, sandbox, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, rewrite(item, sandbox, depth + 1)]),
  );
};

/** A copy of CCXT's `urls` whose every URL leads to the sandbox; nothing of it reaches a real venue. */
export const toSandboxUrls = (
  urls: Readonly<Record<string, unknown>>,
  sandboxUrl: string,
): Record<string, unknown> => {
  const sandbox = new URL(sandboxUrl);
  return Object.fromEntries(Object.entries(urls).map(([key, value]) => [key, rewrite(value, sandbox)]));
};

export interface InstanceDeps {
  readonly exchange: ExchangeId;
  readonly transport: Transport;
  readonly gate: UpstreamGate;
  readonly socketAgents: SocketAgents;
  readonly options: ExchangeOptions | undefined;
  readonly sandboxUrl: string | null;
  readonly userAgent: string;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface Instance {
  readonly ccxt: CcxtExchange;
  /** Ends its sockets. Never rejects. */
  close(): Promise<void>;
}

/** CCXT's own timer would count the wait at the gate; the transport keeps the time, this is a stop behind it. */
const CCXT_TIMEOUT_MS: Millis = 600_000;
/** Dead sockets are noticed after three to four of these; Binance's default takes twelve minutes. */
const WS_KEEP_ALIVE_MS: Millis = 10_000;

const merged = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>) => {
  const result: Record<string, unknown> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const before = result[key];
    result[key] = isTable(before) && isTable(value) ? merged(before, value) : value;
  }
  return result;
};
const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The constructor's settings: only keys that are named here ever reach it, since any key overwrites a method. */
const constructorConfig = ({ exchange, options, transport, userAgent }: InstanceDeps) => {
  const allowed: Record<string, unknown> = {};
  if (options?.rateLimit !== undefined) allowed['rateLimit'] = options.rateLimit;
  if (options?.hostname !== undefined) allowed['hostname'] = options.hostname;
  if (options?.options !== undefined) allowed['options'] = options.options;
  return {
    ...merged(venueQuirks(exchange).construct, allowed),
    enableRateLimit: true,
    timeout: CCXT_TIMEOUT_MS,
    userAgent,
    fetchImplementation: transport,
    enableLastHttpResponse: false,
    enableLastResponseHeaders: false,
    streaming: { keepAlive: WS_KEEP_ALIVE_MS },
  };
};

/**
 * A subscribe frame that waits its turn is sent after its socket closed, and CCXT awaits nothing of it: the rejection
 * would end the process (docs/ccxt.md#unhandled-rejections). And a socket that waits its turn to be dialled is dialled after its instance
 * closed, and nothing would close it. Agents are set here too, since CCXT reads them while it makes the client.
 */
const hardenSockets = (
  ccxt: CcxtExchange,
  { socketAgents: agents, monotonic }: Pick<InstanceDeps, 'socketAgents' | 'monotonic'>,
  isClosed: () => boolean,
): void => {
  const makeClient = ccxt.client;
  ccxt.client = function (url) {
    const agent = agents.forUrl(url);
    ccxt.agent = agent;
    ccxt.httpAgent = agent;
    const client = makeClient.call(ccxt, url);
    if (client.hardened !== true) {
      client.hardened = true;
      timePongs(client, { now: () => ccxt.milliseconds(), monotonic });
      const send = client.send.bind(client);
      client.send = (message) => {
        const sent = send(message);
        sent.catch(() => undefined);
        return sent;
      };
      const opened = client.onOpen.bind(client);
      client.onOpen = () => {
        noteAlive(client, monotonic);
        opened();
      };
      const dial = client.createConnection.bind(client);
      client.createConnection = () => {
        if (!isClosed()) dial();
      };
    }
    return client;
  };
};

/**
 * Requests wait at the gate alone, right before the socket; CCXT's throttle, which knows no deadline, only tells it the
 * weight. CCXT asks for the cost in `fetch2` and keeps it to itself, so it is asked for here.
 */
const tellPace = (ccxt: CcxtExchange): void => {
  ccxt.throttle = () => Promise.resolve();
  const fetch = ccxt.fetch2.bind(ccxt);
  ccxt.fetch2 = (...request) => {
    const [path, api, method, params = {}, , , config = {}] = request;
    const cost = ccxt.calculateRateLimiterCost(api, method, path, params, config);
    const weight = Number.isFinite(cost) ? Math.max(0, cost) : 1;
    return withPace({ weight, unitMs: ccxt.rateLimit }, () => fetch(...request));
  };
};

/** While the markets are loaded, a list that fails is taken for an empty one. */
const tolerateFailedLists = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  const { neededLists, emptyListThrows } = venueQuirks(exchange);
  const fetch = ccxt.fetch.bind(ccxt);
  ccxt.fetch = async (...args) => {
    try {
      return await fetch(...args);
    } catch (thrown) {
      const empty = inPlaceOf(thrown, neededLists?.test(String(args[0])) === true);
      if (empty === undefined) throw thrown;
      return empty;
    }
  };
  if (emptyListThrows !== null) tolerateEmptyLists(ccxt, emptyListThrows);
};

const swapMethods = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  for (const [name, other] of venueQuirks(exchange).methods) {
    const method: unknown = Reflect.get(ccxt, other);
    if (isMethod(method)) Reflect.set(ccxt, name, method);
  }
};

const correctMarkets = (ccxt: CcxtExchange, exchange: ExchangeId): void => {
  const fetchMarkets = ccxt.fetchMarkets.bind(ccxt);
  ccxt.fetchMarkets = async (...args) => correctedMarkets(exchange, await fetchMarkets(...args));
};

/** A new instance, which has made no request yet. */
export const createInstance = (Exchange: CcxtClass, deps: InstanceDeps): Instance => {
  const ccxt = new Exchange(constructorConfig(deps));
  tellPace(ccxt);
  if (deps.sandboxUrl !== null) ccxt.urls = toSandboxUrls(ccxt.urls, deps.sandboxUrl);
  let closed = false;
  hardenSockets(ccxt, deps, () => closed);
  judgeAnswers(ccxt, deps);
  tolerateFailedLists(ccxt, deps.exchange);
  swapMethods(ccxt, deps.exchange);
  correctMarkets(ccxt, deps.exchange);
  return {
    ccxt,
    close: async () => {
      closed = true;
      await ccxt.close().catch(() => undefined);
    },
  };
};
