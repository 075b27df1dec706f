/** One whole answer per operation, and per status of it where that is another one. Checked against the schemas by the OpenAPI linter. */
import { CHART_EXAMPLES } from './chart-examples.js';

const timestamp = 1699000000000;

const BACKFILL = {
  id: '7d9f4c3e-2b1a-4f6d-9c8b-5a4e3d2c1b0a',
  exchange: 'binance',
  symbol: 'BTC/USDT',
  interval: '1m',
  from: timestamp,
  to: timestamp + 86_400_000,
  state: 'running',
  percent: 41.6,
  pages: 1,
  candles: 600,
  reached: timestamp + 50_400_000,
  eta_seconds: 2,
  waiting_for: null,
  error: null,
};

const KEY = {
  id: '4fTq0ZpW8sXa',
  name: 'dashboard',
  last4: '1bQz',
  scopes: ['market:read', 'stream:read'],
  plan: 'trial',
  created_at: timestamp,
  expires_at: timestamp + 2_592_000_000,
  revoked_at: null,
  rotated_to: null,
  leaked_at: null,
};
/** No key: it lacks its secret. */
const SECRET = 'cdk_4fTq0ZpW8sXa_…1bQz';
const LIMITS = { requests: 60, window: 60, day: 5000, streams: 2, exchanges: ['binance', 'kraken'] };
const PLAN = { name: 'trial', ...LIMITS };

export const CSV_EXAMPLE = `timestamp,open,high,low,close,volume,closed\r\n${timestamp},42500,42600,42400,42505.5,12.25,true\r\n`;

export const EXAMPLES: Readonly<Record<string, unknown>> = {
  getStatus: {
    version: '0.1.0',
    uptime: 123.45,
    sandbox: false,
    features: {
      store: true,
      backfill_api: false,
      auth: false,
      graphql: true,
      udf: false,
      dashboard: false,
    },
    exchanges: [
      {
        id: 'binance',
        ccxt_id: 'binance',
        state: 'ok',
        feeds: { live: 2, polling: 0, reconnecting: 0, stale: 0 },
        oldest_tick_age_ms: 412,
        budget: { limit: 100, remaining: 97, resets_in_ms: 60_000 },
        cooldown_ms: 0,
        circuit: 'closed',
        markets_age_ms: 81_000,
        reconnects: 0,
        last_error: null,
      },
    ],
    ledger: {
      state: 'ok',
      series: 3,
      candles: 120_000,
      bytes: 9_437_184,
      jobs: { queued: 0, running: 1, waiting: 0, failed: 0 },
    },
    cluster: null,
  },
  getHealth: { status: 'ok', uptime: 123.45, version: '0.1.0' },
  getReadiness: {
    status: 'ready',
    auth: 'off',
    checks: {
      cache: { state: 'ok', since: timestamp, detail: 'Redis is in use.' },
      store: { state: 'ok', since: timestamp, detail: 'SQLite file' },
      binance: {
        state: 'ok',
        since: timestamp,
        markets: 'loaded',
        circuit: 'closed',
        cool_down_until: null,
        budget_remaining: 97,
        last_error: null,
        last_error_detail: null,
        last_error_at: null,
      },
    },
  },
  'getReadiness 503': {
    status: 'unavailable',
    auth: 'off',
    checks: {
      cache: { state: 'ok', since: timestamp, detail: 'Redis is in use.' },
      binance: {
        state: 'cooling_down',
        since: timestamp,
        markets: 'loaded',
        circuit: 'closed',
        cool_down_until: timestamp,
        budget_remaining: 0,
        last_error: 'upstream_rate_limited',
        last_error_detail: 'HTTP 429',
        last_error_at: timestamp,
      },
    },
  },
  listExchanges: {
    exchanges: [
      {
        id: 'coinbasepro',
        ccxt_id: 'coinbaseexchange',
        name: 'Coinbase Exchange',
        capabilities: { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: 'websocket' },
        intervals: ['1m', '5m', '15m', '1h', '6h', '1d'],
        book_integrity: 'crosscheck',
      },
    ],
  },
  listMarkets: {
    exchange: 'binance',
    markets: [
      {
        symbol: 'BTC/USDT',
        id: 'BTCUSDT',
        base: 'BTC',
        quote: 'USDT',
        settle: null,
        type: 'spot',
        active: true,
        price_step: 0.01,
        amount_step: 0.00001,
        contract_size: null,
      },
    ],
    next_cursor: null,
  },
  ...CHART_EXAMPLES,
  getTicker: {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    bid: 42500,
    ask: 42510,
    last: 42505,
    timestamp,
    raw: { symbol: 'BTCUSDT', lastPrice: '42505.00' },
  },
  getTickers: {
    exchange: 'binance',
    tickers: [
      {
        exchange: 'binance',
        symbol: 'BTC/USDT',
        bid: 42500,
        ask: 42510,
        last: 42505,
        timestamp,
        raw: { symbol: 'BTCUSDT', lastPrice: '42505.00' },
      },
    ],
    errors: [
      {
        symbol: 'BTC/USTD',
        code: 'symbol_not_found',
        detail: 'binance has no BTC/USTD. Did you mean BTC/USDT, BTC/USDC, BTC/EUR?',
      },
    ],
  },
  getOhlcv: {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1m',
    candles: [
      { timestamp, open: 42500, high: 42512.5, low: 42498, close: 42505, volume: 3.25, closed: true },
    ],
  },
  getOrderBook: {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    bids: [{ price: 42500, amount: 0.5 }],
    asks: [{ price: 42510, amount: 0.25 }],
    timestamp,
  },
  getTrades: {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    trades: [{ trade_id: '3752788308', timestamp, price: 42505, amount: 0.01, side: 'buy' }],
  },
  getCandleCoverage: {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1m',
    series: { anchor: 0, generation: 1, first: timestamp, last: timestamp + 3_540_000, candles: 60 },
    ranges: [
      {
        from: timestamp,
        to: timestamp + 3_600_000,
        state: 'known',
        source: 'rest',
        checked_at: timestamp + 7_200_000,
      },
      { from: timestamp + 3_600_000, to: timestamp + 7_200_000, state: 'unknown' },
    ],
  },
  getCandleRevisions: {
    revisions: [
      {
        timestamp,
        rev: 1,
        open: 42500,
        high: 42512.5,
        low: 42498,
        close: 42505,
        volume: 3.25,
        source: 'rest',
        seen_at: timestamp + 70_000,
        replaced_at: timestamp + 900_000,
        disputed: false,
      },
    ],
  },
  listBackfills: { backfills: [BACKFILL] },
  getBackfill: BACKFILL,
  startBackfill: {
    ...BACKFILL,
    state: 'queued',
    percent: 0,
    pages: 0,
    candles: 0,
    reached: null,
    eta_seconds: null,
  },
  cancelBackfill: { ...BACKFILL, state: 'cancelled', eta_seconds: null },
  getMe: {
    type: 'key',
    id: KEY.id,
    name: KEY.name,
    plan: 'trial',
    scopes: KEY.scopes,
    expires_at: KEY.expires_at,
    limits: LIMITS,
    used: { window: 1, day: 12, month: 250 },
    resets: { window: timestamp + 42_000, day: timestamp + 56_000_000, month: timestamp + 2_390_000_000 },
  },
  createKey: { ...KEY, key: SECRET },
  listKeys: { keys: [KEY], next_cursor: null },
  getKey: KEY,
  changeKey: KEY,
  rotateKey: { id: '9aGh2LmN5qRs', key: 'cdk_9aGh2LmN5qRs_…7xKc' },
  revokeKey: { id: KEY.id, revoked_at: timestamp, confirmed: 1 },
  listPlans: { plans: [{ name: 'default' }, PLAN] },
  setPlan: PLAN,
  getUsage: {
    usage: [
      {
        key_id: KEY.id,
        hour: 1698998400000,
        requests: 120,
        units: 118,
        bytes: 45_210,
        stream_seconds: 0,
        refused: 2,
      },
    ],
  },
  getAudit: {
    entries: [
      {
        at: timestamp,
        actor: 'cli',
        action: 'key.create',
        target: KEY.id,
        detail: 'name=dashboard scopes=market:read,stream:read plan=trial',
      },
    ],
  },
  createTicket: {
    ticket: 'cdt_3q2-7wR0bX9nVtJ5uYc1hZkLfPaSdGmQeOiTrWxNvBs',
    purpose: 'sse',
    expires_at: timestamp + 30_000,
  },
  streamTicker:
    'id: 1\ndata: {"event_type":"ticker","exchange":"binance","symbol":"BTC/USDT","bid":42500,"ask":42510,"last":42505,"timestamp":1699000000000,"price_change_percent":0}\n\n',
};
