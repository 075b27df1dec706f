/** What the server says of its feeds is on the page within a second, whatever is wrong with them. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { FaultRule } from '../../src/sandbox/faults.js';
import { extent } from '../support/extent.js';
import { recordedWords, recordWords, type ShownWord } from './dashboard-records.js';
import { WAIT, type Running } from './dashboard-rig.js';

const ROW = 'binance BTC/USDT';
const CHANNELS = ['ticker', 'ohlcv', 'orderbook', 'trades'] as const;
const SOON_MS = 1000;
/** Half of what is told is shown by SOON_MS; what is shown later than this is late on the busiest machine. */
const LATE_MS = 10 * SOON_MS;
/** Up to the longest pause between two tries of a feed. */
const RECOVERY = { timeout: 60_000 };

interface Told {
  readonly channel: ShownWord['channel'];
  readonly word: string;
  readonly at: number;
}

/** What the server tells another reader of the same feeds. */
const listen = async (url: string) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  const told: Told[] = [];
  socket.on('message', (data: Buffer) => {
    const event = JSON.parse(data.toString()) as Record<string, string>;
    if (event['event_type'] !== 'status') return;
    const channel = (event['channel'] ?? 'ticker') as Told['channel'];
    told.push({ channel, word: event['state'] === 'live' ? '' : String(event['state']), at: Date.now() });
  });
  await once(socket, 'open');
  for (const channel of CHANNELS)
    socket.send(
      JSON.stringify({
        method: 'subscribe',
        params: {
          channel,
          exchange: 'binance',
          symbol: 'BTC/USDT',
          threshold: channel === 'ticker' ? 0 : undefined,
        },
      }),
    );
  return { told, close: () => socket.close() };
};

/** States that pass before they had to be shown may not be. */
const expectSoonShown = (told: readonly Told[], shown: readonly ShownWord[]): void => {
  const delays: number[] = [];
  for (const [index, { channel, word, at }] of told.entries()) {
    const until = told.slice(index + 1).find((later) => later.channel === channel)?.at ?? Infinity;
    if (until - at < SOON_MS) continue;
    const words = shown.filter((each) => each.channel === channel);
    const first = words.find((each, place) => each.word === word && (words[place + 1]?.at ?? Infinity) > at);
    const delay = Math.max(0, (first?.at ?? Infinity) - at);
    expect(delay, `${channel} ${word || 'live'} at ${at}: ${JSON.stringify(words)}`).toBeLessThan(LATE_MS);
    delays.push(delay);
  }
  delays.sort((one, other) => one - other);
  expect(delays[Math.floor(delays.length / 2)]).toBeLessThan(SOON_MS);
};

const unreachable = { type: 'status', status: 503 } as const;
const onSockets = (fault: FaultRule['fault']): FaultRule => ({ venue: 'binance', match: 'websocket', fault });
/** Each with what the page says of the row in the end. */
const TROUBLES: readonly {
  readonly name: string;
  readonly rules: readonly FaultRule[];
  readonly word: RegExp;
}[] = [
  { name: 'no socket', rules: [onSockets(unreachable)], word: /reconnecting|polling/ },
  {
    name: 'no answer at all',
    rules: [onSockets(unreachable), { venue: 'binance', fault: unreachable }],
    word: /stale/,
  },
  ...extent<{ name: string; rules: FaultRule[]; word: RegExp }[]>({
    short: [],
    long: [
      { name: 'closed', rules: [onSockets({ type: 'ws_close', ms: 500 })], word: /reconnecting|polling/ },
      { name: 'cut', rules: [onSockets({ type: 'ws_terminate', ms: 500 })], word: /reconnecting|polling/ },
      { name: 'silent', rules: [onSockets({ type: 'ws_silent' })], word: /reconnecting|polling|stale/ },
      { name: 'mute', rules: [onSockets({ type: 'ws_mute', ms: 0 })], word: /reconnecting|polling|stale/ },
      {
        name: 'mute, and REST hangs',
        rules: [onSockets({ type: 'ws_mute', ms: 0 }), { venue: 'binance', fault: { type: 'hang' } }],
        word: /stale/,
      },
    ],
  }),
];

export const testFeeds = (running: () => Running): void => {
  test('what is wrong with a feed is said within a second, beside prices that are struck where they are old', async () => {
    const { rig, live } = running();
    const opened = await live();
    const { page, row, text } = opened;
    await expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);
    await expect.poll(() => text(page.locator('main')), WAIT).not.toMatch(/reconnecting|stale|polling/);
    await recordWords(page, ROW);
    const { control } = rig.sandbox;
    const server = await listen(rig.url);
    for (const { name, rules, word } of TROUBLES) {
      for (const rule of rules) control.setFault(rule);
      control.sockets('binance', { action: 'terminate' });
      await expect.poll(() => text(row(ROW)), { ...RECOVERY, message: name }).toMatch(word);
      if (word.test('stale') && !word.test('polling')) {
        const struck = row(ROW).locator('s.last');
        await struck.waitFor(WAIT);
        expect(await text(struck)).toMatch(/\d/);
        await expect.poll(() => text(page.getByRole('region', { name: 'Health' })), WAIT).toMatch(/\d stale/);
      }
      control.clearFaults();
      if (rules.length > 1 || name !== 'no socket')
        await expect
          .poll(() => text(page.locator('main')), { ...RECOVERY, message: name })
          .not.toMatch(/reconnecting|stale|polling/);
    }
    server.close();
    for (const channel of CHANNELS) expect(server.told.some((each) => each.channel === channel)).toBe(true);
    expectSoonShown(server.told, await recordedWords(page));
    await opened.expectNoFault();
  });
};
