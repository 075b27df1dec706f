/** The latest trades of the selected market, newest first. */
import type { Trade } from '../../client/client.js';
import { trades } from '../state/feeds.js';
import { formatNumber, formatTime } from '../state/format.js';
import { stepsOf } from '../state/markets.js';
import { selection } from '../state/selection.js';
import { Age, FeedWord } from './feed-word.js';

const SIDES = { buy: '▲ buy', sell: '▼ sell' } as const;

const TradeRow = ({
  trade,
  steps,
}: {
  readonly trade: Trade;
  readonly steps: ReturnType<typeof stepsOf>;
}) => (
  <tr class={trade.side ?? ''} data-trade={trade.trade_id}>
    <td>{formatTime(trade.timestamp)}</td>
    <td class="number">{formatNumber(trade.price, steps.price)}</td>
    <td class="number">{formatNumber(trade.amount, steps.amount)}</td>
    <td>{trade.side === null ? '–' : SIDES[trade.side]}</td>
  </tr>
);

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

export const Trades = () => {
  const isStale = trades.word.value === 'stale';
  const missed = trades.missed.value;
  return (
    <section class={`panel tape ${isStale ? 'is-stale' : ''}`} aria-label="Trades">
      <h2>
        Trades <Age timestamp={trades.value.value?.[0]?.timestamp} /> <FeedWord feed={trades} />
        {missed > 0 && <span class="word">{missed} missed</span>}
      </h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Latest trades">
        <Tape />
      </div>
    </section>
  );
};
