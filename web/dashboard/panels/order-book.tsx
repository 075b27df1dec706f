/** The order book of the selected market: the best levels of both sides with what adds up to there. */
import { computed } from '@preact/signals';
import { Component } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { PriceLevel } from '../../client/client.js';
import { book } from '../state/feeds.js';
import { decimalsOf, formatNumber, spreadOf } from '../state/format.js';
import { stepsOf, type Steps } from '../state/markets.js';
import { selection } from '../state/selection.js';
import { Age, FeedWord } from './feed-word.js';

const LEVELS = 20;
/** Height of a row (style.css). */
const ROW_PX = 18;

interface Level extends PriceLevel {
  readonly sum: number;
}

const summed = (levels: readonly PriceLevel[]): Level[] => {
  let sum = 0;
  return levels.slice(0, LEVELS).map((level) => ({ ...level, sum: (sum += level.amount) }));
};

interface SideProps {
  readonly side: 'bid' | 'ask';
  readonly levels: readonly Level[];
  readonly most: number;
  readonly steps: Steps;
}

type Texts = Readonly<Record<'price' | 'amount' | 'sum' | 'width', string>>;

/** Most levels of a new book are those of the one before: only what differs is drawn. */
class LevelRow extends Component<Texts> {
  override shouldComponentUpdate({ price, amount, sum, width }: Texts): boolean {
    const now = this.props;
    return price !== now.price || amount !== now.amount || sum !== now.sum || width !== now.width;
  }

  override render({ price, amount, sum, width }: Texts) {
    return (
      <tr style={{ backgroundSize: `${width} 100%` }}>
        <th scope="row" class="number">
          {price}
        </th>
        <td class="number">{amount}</td>
        <td class="number">{sum}</td>
      </tr>
    );
  }
}

const Side = ({ side, levels, most, steps }: SideProps) => (
  <tbody class={side}>
    {levels.map(({ price, amount, sum }, index) => (
      <LevelRow
        key={index}
        price={formatNumber(price, steps.price)}
        amount={formatNumber(amount, steps.amount)}
        sum={sum.toPrecision(6).replace(/\.?0+$/, '')}
        // A whole percent is less than four pixels.
        width={`${most === 0 ? 0 : Math.round((100 * sum) / most)}%`}
      />
    ))}
  </tbody>
);

const Levels = () => {
  const event = book.value.value;
  const market = selection.value;
  if (event === null || market === null) return null;
  const steps = stepsOf(market);
  const [bid, ask] = [event.bids[0]?.price ?? null, event.asks[0]?.price ?? null];
  if (bid !== null && ask !== null && bid >= ask)
    return (
      <p class="empty">
        The exchange's book is crossed (bid {bid}, ask {ask}); it is not drawn.
      </p>
    );
  const [bids, asks] = [summed(event.bids), summed(event.asks)];
  const most = Math.max(bids.at(-1)?.sum ?? 0, asks.at(-1)?.sum ?? 0);
  const spread = spreadOf(bid, ask);
  // A sum of prices has one decimal more than they have, and what binary fractions add to it.
  const decimals = 1 + Math.max(decimalsOf(bid ?? 0), decimalsOf(ask ?? 0));
  const rounded = (value: number): number => Number(value.toFixed(Math.min(100, decimals)));
  return (
    <table data-timestamp={event.timestamp}>
      <caption class="hidden">Order book: asks above bids, the best in the middle</caption>
      <thead>
        <tr>
          <th scope="col" class="number">
            Price
          </th>
          <th scope="col" class="number">
            Amount
          </th>
          <th scope="col" class="number">
            Sum
          </th>
        </tr>
      </thead>
      <Side side="ask" levels={asks.toReversed()} most={most} steps={steps} />
      <tbody class="middle">
        <tr>
          <td colSpan={3}>
            {bid === null || ask === null
              ? 'one side is empty'
              : `spread ${formatNumber(rounded(ask - bid), steps.price)} (${spread?.toFixed(1) ?? '–'} bp), mid ${formatNumber(rounded((ask + bid) / 2), steps.price)}`}
          </td>
        </tr>
      </tbody>
      <Side side="bid" levels={bids} most={most} steps={steps} />
    </table>
  );
};

const seenAt = computed(() => book.value.value?.timestamp);
const isThere = computed(() => book.value.value !== null);

/** The middle of the book is in sight first, below whole rows; then it is the reader's to scroll. */
const useMiddle = () => {
  const scroll = useRef<HTMLDivElement>(null);
  const market = selection.value;
  const isKnown = isThere.value;
  useEffect(() => {
    const [head, middle] = ['thead', '.middle'].map((name) =>
      scroll.current?.querySelector<HTMLElement>(name),
    );
    if (!scroll.current || !head || !middle) return;
    const room = (scroll.current.clientHeight - middle.offsetHeight) / 2 - head.offsetHeight;
    scroll.current.scrollTop = middle.offsetTop - head.offsetHeight - Math.floor(room / ROW_PX) * ROW_PX;
  }, [market, isKnown]);
  return scroll;
};

export const OrderBook = () => {
  const scroll = useMiddle();
  const isStale = book.word.value === 'stale';
  return (
    <section class={`panel book ${isStale ? 'is-stale' : ''}`} aria-label="Order book">
      <h2>
        Order book <Age timestamp={seenAt} /> <FeedWord feed={book} />
      </h2>
      <div ref={scroll} class="scroll" tabIndex={0} role="group" aria-label="Price levels">
        <Levels />
      </div>
    </section>
  );
};
