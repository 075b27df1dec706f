/** The latest trades of the selected market, newest first. */
import { computed } from '@preact/signals';
import { Component } from 'preact';
import type { Trade } from '../../client/client.js';
import { trades } from '../state/feeds.js';
import { formatNumber, formatTime } from '../state/format.js';
import { stepsOf, type Steps } from '../state/markets.js';
import { selection } from '../state/selection.js';
import { Age, FeedWord } from './feed-word.js';

const SIDES = { buy: '▲ buy', sell: '▼ sell' } as const;

interface RowProps {
  readonly trade: Trade;
  readonly steps: Steps;
}

/** A trade never changes: a row is drawn once, while a hundred others stand beside it. */
class TradeRow extends Component<RowProps> {
  override shouldComponentUpdate({ trade, steps }: RowProps): boolean {
    return trade !== this.props.trade || steps !== this.props.steps;
  }

  override render({ trade, steps }: RowProps) {
    return (
      <tr class={trade.side ?? ''} data-trade={trade.trade_id}>
        <td>{formatTime(trade.timestamp)}</td>
        <td class="number">{formatNumber(trade.price, steps.price)}</td>
        <td class="number">{formatNumber(trade.amount, steps.amount)}</td>
        <td>{trade.side === null ? '–' : SIDES[trade.side]}</td>
      </tr>
    );
  }
}

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
      <tbody>
        {list.map((trade, index) => (
          <TradeRow key={trade.trade_id ?? `${trade.timestamp} ${index}`} trade={trade} steps={steps} />
        ))}
      </tbody>
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
