/** The latest trades of the selected market, newest first. */
import { computed } from '@preact/signals';
import type { JSX } from 'preact';
import type { Trade } from '../../client/client.js';
import { trades } from '../state/feeds.js';
import { formatNumber, formatTime } from '../state/format.js';
import { stepsOf, type Steps } from '../state/markets.js';
import { selection } from '../state/selection.js';
import { Age, FeedWord } from './feed-word.js';

const SIDES = { buy: '▲ buy', sell: '▼ sell' } as const;

/** Each is made once: Preact passes over an element that it has seen. */
let rows = new WeakMap<Trade, JSX.Element>();
let rowsOf: Steps | undefined;
let made = 0;

const rowOf = (trade: Trade, steps: Steps): JSX.Element => {
  // Other steps, other numbers.
  if (rowsOf !== steps) [rows, rowsOf] = [new WeakMap(), steps];
  const present = rows.get(trade);
  if (present !== undefined) return present;
  const row = (
    <tr key={trade.trade_id ?? `made ${(made += 1)}`} class={trade.side ?? ''} data-trade={trade.trade_id}>
      <td>{formatTime(trade.timestamp)}</td>
      <td class="number">{formatNumber(trade.price, steps.price)}</td>
      <td class="number">{formatNumber(trade.amount, steps.amount)}</td>
      <td>{trade.side === null ? '–' : SIDES[trade.side]}</td>
    </tr>
  );
  rows.set(trade, row);
  return row;
};

const Tape = () => {
  const market = selection.value;
  const list = trades.value.value;
  if (market === null || list === null) return null;
  const steps = stepsOf(market);
  return (
    <table>
      <caption class="hidden">Trades, newest first</caption>
      <thead>
        <tr>
          <th scope="col">Time (UTC)</th>
          <th scope="col" class="number">
            Price
          </th>
          <th scope="col" class="number">
            Amount
          </th>
          <th scope="col">Side</th>
        </tr>
      </thead>
      <tbody>{list.map((trade) => rowOf(trade, steps))}</tbody>
    </table>
  );
};

const latest = computed(() => trades.value.value?.[0]?.timestamp);

export const Trades = () => {
  const isStale = trades.word.value === 'stale';
  const missed = trades.missed.value;
  return (
    <section class={`panel tape ${isStale ? 'is-stale' : ''}`} aria-label="Trades">
      <h2>
        Trades <Age timestamp={latest} /> <FeedWord feed={trades} />
        {missed > 0 && <span class="word">{missed} missed</span>}
      </h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Latest trades">
        <Tape />
      </div>
    </section>
  );
};
