/** A hub over a fake venue and a clock that stands still unless a test moves it; made anew before each test. */
import { AppError } from '../../../src/errors.js';
import type { Channel } from '../../../src/schemas/stream.js';
import type { SubscribeRequest, Subscription } from '../../../src/streams/hub-api.js';
import { createLocalHub } from '../../support/local-hub.js';
import { recordingLog } from '../../support/recording-log.js';
import { FakeClient, FakeMarketData, FakeTime, FakeVenue, START, tickerBody } from './fakes.js';

export const LINGER_MS = 10_000;
export const IDLE_MS = 30_000;
export const POLL_MS = 2_000;
export const MINUTE_MS = 60_000;

export let time: FakeTime;
export let venue: FakeVenue;
export let market: FakeMarketData;
export let hub: ReturnType<typeof createLocalHub>;
/** A client for tests of one client. */
export let client: FakeClient;
export let log: ReturnType<typeof recordingLog>;
/** What chance says of each wait, 0 to 1. */
let luck: number;

interface HubSettings {
  readonly sandbox?: boolean;
  readonly deltaThreshold?: number;
  readonly lingerMs?: number;
  readonly checkSpacingMs?: number;
}

/** What REST says of a ticker, if nothing else is said. */
export const REST_TICKER = tickerBody(100, START - 1000);

/** Another hub over the same venue. */
export const restartHub = (settings: HubSettings = {}): void => {
  const { sandbox = false, deltaThreshold = 0, lingerMs = 0, checkSpacingMs } = settings;
  hub = createLocalHub({
    exchanges: venue,
    marketData: () => market,
    settings: { deltaThreshold, lingerMs, idleTimeoutMs: IDLE_MS },
    pollIntervalMs: { ticker: POLL_MS, trades: POLL_MS, orderbook: POLL_MS, ohlcv: POLL_MS },
    checkSpacingMs,
    sandbox,
    log,
    now: time.now,
    monotonic: time.monotonic,
    random: () => luck,
    timers: time,
  });
};

/** `answer`: the venue's over REST. */
export const startHub = ({
  answer = {},
  ...settings
}: HubSettings & { readonly answer?: object } = {}): void => {
  luck = 0.5;
  time = new FakeTime();
  venue = new FakeVenue(time);
  venue.answer = answer;
  market = new FakeMarketData(time);
  client = new FakeClient();
  log = recordingLog();
  restartHub(settings);
};

export const setLuck = (chance: number): void => {
  luck = chance;
};

/** Subscribes `client` to BTC/USDT. */
export const open = async (channel: Channel = 'ticker'): Promise<void> => {
  const interval = channel === 'ohlcv' ? { interval: '1m' } : {};
  const topic = { channel, exchange: 'binance', symbol: 'BTC/USDT', ...interval };
  await hub.subscribe({ topic, name: 'binance' }, client);
};

export const ticker = (rest: Partial<SubscribeRequest> = {}): SubscribeRequest => ({
  topic: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
  name: 'binance',
  ...rest,
});

/** Subscribes a client of its own. */
export const join = async (
  request: SubscribeRequest = ticker(),
): Promise<{ client: FakeClient; subscription: Subscription }> => {
  const joining = new FakeClient();
  const subscription = await hub.subscribe(request, joining);
  return { client: joining, subscription };
};

export const lastStatus = (): Record<string, unknown> | undefined => client.ofType('status').at(-1);

export const unavailable = (message = 'binance can not be reached.'): AppError =>
  new AppError('upstream_unavailable', message);
