/** The watched markets, a row each: prices, how they moved since the page was opened, their age and the state of the feed. */
import { DEFAULT_INTERVAL, formatAddress } from '../state/address.js';
import { rowOf } from '../state/feeds.js';
import { formatNumber, formatPercent, spreadOf } from '../state/format.js';
import { stepsOf } from '../state/markets.js';
import { selection } from '../state/selection.js';
import { isSandbox } from '../state/server.js';
import { keyOf, unwatch, watchList, type WatchedMarket } from '../state/settings.js';
import { Age, FeedWord } from './feed-word.js';

const Move = ({ from, to }: { readonly from: number | null; readonly to: number | null }) => {
  const percent = from === null || to === null || from === 0 ? null : ((to - from) / from) * 100;
  const sign = percent === null || percent === 0 ? 'even' : percent > 0 ? 'up' : 'down';
  return (
    <span class={`move ${sign}`} title="since the page was opened">
      {sign === 'up' ? '▲ ' : sign === 'down' ? '▼ ' : ''}
      {formatPercent(percent)}
    </span>
  );
};

const WatchRow = ({ market }: { readonly market: WatchedMarket }) => {
  const { feed, opened } = rowOf(market);
  const event = feed.value.value;
  const { price } = stepsOf(market);
  const now = selection.value;
  const isSelected = now?.exchange === market.exchange && now.symbol === market.symbol;
  const isStale = feed.word.value === 'stale';
  const spread = event === null ? null : spreadOf(event.bid, event.ask);
  const Price = isStale ? 's' : 'span';
  return (
    <tr
      class={`${isSelected ? 'selected' : ''} ${isStale ? 'is-stale' : ''}`}
      data-market={keyOf(market)}
      data-timestamp={event?.timestamp}
    >
      <th scope="row">
        <a
          href={formatAddress({ ...market, interval: now?.interval ?? DEFAULT_INTERVAL })}
          aria-current={isSelected ? 'true' : undefined}
        >
          {market.symbol}
        </a>
        <small>
          {market.exchange} {isSandbox.value && <span class="chip">SANDBOX</span>}
        </small>
        <FeedWord feed={feed} />
      </th>
      <td class="number">
        <Price class="last">{formatNumber(event?.last, price)}</Price>
        <small>
          <Move from={opened.value} to={event?.last ?? null} />
        </small>
      </td>
      <td class="number">
        <Price class="bid">{formatNumber(event?.bid, price)}</Price>
        <br />
        <Price class="ask">{formatNumber(event?.ask, price)}</Price>
      </td>
      <td class="number">
        <Age timestamp={event?.timestamp} />
        <small>{spread === null ? '' : `${spread.toFixed(1)} bp`}</small>
      </td>
      <td>
        <button
          type="button"
          class="remove"
          aria-label={`Remove ${market.symbol} of ${market.exchange}`}
          onClick={() => unwatch(market)}
        >
          ×
        </button>
      </td>
    </tr>
  );
};

export const WatchList = () => (
  <section class="panel watch" aria-labelledby="watch-title">
    <h2 id="watch-title">Watch list</h2>
    {watchList.value.length === 0 ? (
      <p class="empty">
        Nothing is watched yet. Press <kbd>/</kbd> and search for a market.
      </p>
    ) : (
      <div class="scroll" tabIndex={0} role="group" aria-label="Watched markets">
        <table>
          <caption class="hidden">Watched markets</caption>
          <thead>
            <tr>
              <th scope="col">Market</th>
              <th scope="col" class="number">
                Last
              </th>
              <th scope="col" class="number">
                Bid, ask
              </th>
              <th scope="col" class="number">
                Age, spread
              </th>
              <th scope="col">
                <span class="hidden">Remove</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {watchList.value.map((market) => (
              <WatchRow key={keyOf(market)} market={market} />
            ))}
          </tbody>
        </table>
      </div>
    )}
  </section>
);
