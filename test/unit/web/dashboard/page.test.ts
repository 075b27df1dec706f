// What the page draws of what a server says: every panel, on a small DOM, with a socket and answers of the test.
import { afterEach, expect, test, vi } from 'vitest';
import { FakeSocket, latest } from '../client/fake-socket.js';
import { SmallNode, smallDocument } from '../../../support/small-dom.js';

/** A name only: its types are checked with those of browsers (web/dashboard/tsconfig.json), not with those of tests. */
const PAGE = '../../../../web/dashboard/main.tsx' as string;
const MARKET = { exchange: 'binance', symbol: 'BTC/USDT' };
const NOW = 1_800_000_000_000;
const candle = (timestamp: number, closed: boolean) => ({
  ...{ timestamp, open: 1, high: 3, low: 1, close: 2, volume: 5, closed },
});
const market = {
  ...{ symbol: 'BTC/USDT', id: 'BTCUSDT', base: 'BTC', quote: 'USDT', settle: null, type: 'spot' },
  ...{ active: true, price_step: 0.01, amount_step: 0.001, contract_size: null },
};
const capabilities = { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: 'websocket' };
const ANSWERS: Readonly<Record<string, object>> = {
  '/v1/exchanges': {
    exchanges: [
      {
        id: 'binance',
        ccxt_id: 'binance',
        name: 'Binance',
        capabilities,
        intervals: ['1m', '1h'],
        book_integrity: null,
      },
    ],
  },
  '/v1/markets': { exchange: 'binance', markets: [market], next_cursor: null },
  '/v1/markets/ohlcv': {
    ...MARKET,
    interval: '1m',
    candles: [candle(NOW - 240_000, true), candle(NOW - 60_000, true), candle(NOW, false)],
    gaps: [{ from: NOW - 180_000, to: NOW - 60_000, reason: 'unconfirmed' }],
  },
  '/v1/backfills': {
    backfills: [
      {
        ...{
          id: 'x',
          ...MARKET,
          interval: '1h',
          from: NOW,
          to: null,
          state: 'waiting',
          percent: 41.6,
          candles: 7,
        },
        ...{ eta_seconds: 61, waiting_for: 'the cool-down of binance', error: null },
      },
    ],
  },
};
const health = {
  ...{ event_type: 'health', version: '9.9.9', uptime: 60, sandbox: true },
  features: { store: true, backfill_api: true, auth: false, graphql: true, udf: true, dashboard: true },
  exchanges: [
    {
      ...{
        id: 'binance',
        ccxt_id: 'binance',
        state: 'cooling_down',
        oldest_tick_age_ms: 5,
        cooldown_ms: 9000,
      },
      feeds: { live: 4, polling: 0, reconnecting: 0, stale: 1 },
      budget: { limit: 100, remaining: 40, resets_in_ms: 100 },
      ...{ circuit: 'half_open', markets_age_ms: null, reconnects: 2 },
      last_error: { code: 'upstream_error', detail: 'No.', at: NOW },
    },
  ],
  ledger: {
    ...{ state: 'ok', series: 1, candles: 2, bytes: 3 },
    jobs: { queued: 0, running: 0, waiting: 0, failed: 0 },
  },
  cluster: {
    ...{ server_id: 'a', state: 'ok', servers: [{ id: 'a', since: 1, owned: 2, followed: 0 }] },
    ...{ owned: [], followed: [] },
  },
};

interface Given {
  /** In pixels. */
  readonly width?: number;
  /** Without it nobody is answered. */
  readonly key?: string;
  /** Answered by a 429 while it is true. */
  readonly isRefused?: (path: string) => boolean;
}

const COOL_DOWN = { code: 'upstream_rate_limited', detail: 'It cools down.', retryable: true };

const start = async ({ width = 1440, key, isRefused = () => false }: Given = {}) => {
  vi.resetModules();
  vi.useFakeTimers({ now: NOW });
  FakeSocket.opened = [];
  const page = new SmallNode('div');
  const document = smallDocument(page, 'http://server.example/dashboard/');
  const location = { hash: '#/binance/BTC-USDT/1m' };
  const bound = (query: string): boolean => {
    const [, edge, pixels] = /\((min|max)-width: (\d+)px\)/.exec(query) ?? [];
    return edge === 'min' ? width >= Number(pixels) : edge === 'max' && width <= Number(pixels);
  };
  const globals = {
    ...{ document, location, HTMLElement: SmallNode, WebSocket: FakeSocket },
    addEventListener: () => undefined,
    history: { replaceState: () => undefined },
    navigator: { onLine: true },
    localStorage: { getItem: () => null, setItem: () => undefined },
    matchMedia: (query: string) => Object.assign(new SmallNode('media'), { matches: bound(query) }),
    requestAnimationFrame: (draw: () => void) => setTimeout(draw, 16),
    cancelAnimationFrame: clearTimeout,
    getComputedStyle: () => ({ getPropertyValue: () => '' }),
    CSS: { escape: (text: string) => text },
    fetch: (input: string | URL | Request, init: RequestInit = {}) => {
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      const sent = new Headers(input instanceof Request ? input.headers : init.headers).get('x-api-key');
      if (key !== undefined && sent !== key)
        return Promise.resolve(Response.json({ code: 'unauthenticated', detail: 'No.' }, { status: 401 }));
      if (isRefused(pathname))
        return Promise.resolve(Response.json({ ...COOL_DOWN, retry_after_ms: 60_000 }, { status: 429 }));
      return Promise.resolve(Response.json(ANSWERS[pathname] ?? {}));
    },
  };
  for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
  await import(PAGE);
  const shows = (text: string): Promise<void> =>
    vi.waitFor(() => expect(page.textContent).toContain(text), { timeout: 10_000 });
  /** An element that has a `data-market`, a class or an id of this name. */
  const named = (name: string): SmallNode => {
    for (const node of page.all())
      if (['data-market', 'class', 'id'].some((each) => node.attributes.get(each) === name)) return node;
    throw new Error(`There is no ${name}.`);
  };
  const connect = async (): Promise<void> => {
    await vi.waitFor(() => expect(FakeSocket.opened).not.toEqual([]));
    latest().accept();
    latest().say(health);
    await shows('9.9.9');
    await shows('BTC/USDT · binance · 1m');
  };
  return { page, document, location, shows, named, connect };
};
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.resetModules();
});

const ticker = (last: number, timestamp: number) => ({
  ...{ event_type: 'ticker', ...MARKET, last, bid: last - 0.5, ask: last + 0.5, timestamp },
  price_change_percent: 0,
});
const book = (bid: number, ask: number) => ({
  ...{ event_type: 'orderbook', ...MARKET, timestamp: NOW, book_integrity: 'sequence' },
  ...{ bids: [{ price: bid, amount: 2 }], asks: [{ price: ask, amount: 1 }] },
});
const trades = (...ids: readonly (string | null)[]) => ({
  ...{ event_type: 'trades', ...MARKET },
  trades: ids.map((id, index) => ({
    ...{ trade_id: id, timestamp: NOW + index, price: 1000 + index, amount: 0.5, side: 'buy' },
  })),
});

test('each panel shows what its feed says, in the steps of the market', async () => {
  const { shows, named, connect } = await start();
  await connect();
  latest().say(ticker(1234.5, NOW));
  latest().say(book(999, 1001));
  latest().say(trades('1', '2'));
  await shows('1,234.50');
  expect(named('last').textContent).toBe('1,234.50');
  expect(named('bid').textContent).toBe('1,234.00');
  await shows('spread 2.00 (20.0 bp), mid 1,000.00');
  await shows('08:00:00.001');
  latest().say(ticker(1240, NOW + 10));
  await shows('1,240.00');
  expect(named('move up').textContent).toBe('▲ +0.45 %');
  // Older than what is shown.
  latest().say(ticker(1, NOW - 10));
  latest().say(trades('2', '3', null));
  await shows('1,002.00');
  expect(named('last').textContent).toBe('1,240.00');
  await shows('1 gap');
  await shows('gap 2027-01-15T07:57:00Z – 2027-01-15T07:59:00Z: the exchange gave none this time');
});

test('what a server could not say in a cool-down is asked for again after it', async () => {
  let [cools, asked] = [true, 0];
  const isRefused = (path: string): boolean => {
    if (!path.startsWith('/v1/markets')) return false;
    asked += 1;
    return cools;
  };
  const { page, shows } = await start({ isRefused });
  await vi.waitFor(() => expect(FakeSocket.opened).not.toEqual([]));
  latest().accept();
  await shows('It cools down.');
  const pass = async (ms: number): Promise<void> => {
    latest().say({ event_type: 'heartbeat' });
    await vi.advanceTimersByTimeAsync(ms);
  };
  for (const ms of [15_000, 15_000, 15_000]) await pass(ms);
  const before = asked;
  await pass(10_000);
  expect(asked).toBe(before);
  cools = false;
  await pass(10_000);
  await shows('BTC/USDT · binance · 1m');
  await shows('2027-01-15T08:00:00Z open');
  latest().say(ticker(1234.5, NOW));
  await shows('1,234.50');
  expect(page.textContent).not.toContain('It cools down.');
});

test('what is old is struck and named, and a crossed book is said and not drawn', async () => {
  const { page, shows, connect } = await start();
  await connect();
  latest().say(ticker(1234.5, NOW));
  latest().say(book(1002, 1001));
  await shows("The exchange's book is crossed (bid 1002, ask 1001); it is not drawn.");
  latest().say({ event_type: 'status', channel: 'ticker', ...MARKET, state: 'stale' });
  await shows('stale');
  await vi.waitFor(() => expect(page.byName('s').map((node) => node.textContent)).toContain('1,234.50'));
  latest().drop();
  await shows('reconnecting');
});

test('health names the state of each exchange, its budget and the servers of the cluster', async () => {
  const { shows, connect } = await start();
  await connect();
  await shows('cooling down, 9 s left');
  await shows('4 live, 1 stale');
  await shows('budget 40/100');
  await shows('upstream_error: No.');
  await shows('cluster ok, 1 server: a (this one) holds 2, follows 0');
});

test('backfills are listed when their tab is opened', async () => {
  const { page, shows, connect } = await start();
  await connect();
  page.button('Jobs').dispatch('click');
  await shows('binance BTC/USDT 1h');
  await shows('42 %');
  await shows('the cool-down of binance');
  page.button('Health').dispatch('click');
  await shows('budget');
});

test('help opens, lets a theme be chosen, and closes', async () => {
  const { page, document, shows, connect } = await start();
  await connect();
  page.button('Help').dispatch('click');
  await shows('search markets');
  const [dialog] = page.byName('dialog');
  expect(dialog?.attributes.has('open')).toBe(true);
  const dark = page.byName('label').find((label) => label.textContent === 'dark');
  dark?.byName('input')[0]?.dispatch('change');
  expect(document.documentElement.dataset['theme']).toBe('dark');
  page.button('Close').dispatch('click');
  await vi.waitFor(() => expect(page.byName('dialog')).toEqual([]));
});

test('a market that was searched for is selected by keys, and its address with it', async () => {
  const { page, location, shows, connect } = await start();
  await connect();
  const [input] = page.byName('input');
  if (input === undefined) throw new Error('There is no field.');
  input.value = 'eth';
  input.dispatch('input');
  await vi.waitFor(() =>
    expect(page.byName('li').map((li) => li.attributes.get('role'))).toContain('option'),
  );
  input.dispatch('keydown', { key: 'ArrowDown' });
  input.dispatch('keydown', { key: 'ArrowUp' });
  location.hash = '';
  input.dispatch('keydown', { key: 'Enter' });
  expect(location.hash).toBe('#/binance/BTC%2FUSDT/1m');
  page.button('1h').dispatch('click');
  expect(location.hash).toBe('#/binance/BTC%2FUSDT/1h');
  await shows('BTC/USDT · binance · 1h');
  page.button('×').dispatch('click');
  await shows('Nothing is watched yet.');
});

test('keys of one letter work outside of fields', async () => {
  const { document, location, shows, connect } = await start();
  await connect();
  document.dispatch('keydown', { key: '2' });
  expect(location.hash).toBe('#/binance/BTC%2FUSDT/1h');
  document.dispatch('keydown', { key: 'j' });
  document.dispatch('keydown', { key: '/' });
  document.dispatch('keydown', { key: '?' });
  await shows('search markets');
});

test('a server that asks for a key gets it, and one that it does not take is told', async () => {
  const { shows, named, page, connect } = await start({ key: 'right' });
  await shows('This server asks for a key');
  const type = (key: string): void => {
    named('key').value = key;
    page.button('Use this key').dispatch('click');
  };
  type('wrong');
  await shows('The server does not take this key.');
  type('right');
  await connect();
  expect(page.textContent).not.toContain('asks for a key');
  expect(latest().sent[0]).toEqual({ method: 'auth', params: { token: 'right' } });
});

test.each([
  [800, 'Trades', 'Trades, newest first'],
  [390, 'Health', 'budget'],
])('where there is room for %i pixels, %s is a tab', async (width, tab, text) => {
  const { page, shows, connect } = await start({ width });
  await vi.waitFor(() => expect(FakeSocket.opened).not.toEqual([]));
  if (width > 700) await connect();
  else {
    latest().accept();
    latest().say(health);
  }
  page.button(tab).dispatch('click');
  await vi.waitFor(() => expect(latest().sent.length).toBeGreaterThan(1));
  latest().say(trades('1'));
  await shows(text);
});
