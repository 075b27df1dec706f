/** The watched markets, a row each: prices, how they moved since the page was opened, their age and the state of the feed. */
import { useComputed, type ReadonlySignal } from '@preact/signals';
import { DEFAULT_INTERVAL, formatAddress } from '../state/address.js';
import { rowOf } from '../state/feeds.js';
import { formatNumber, formatPercent, spreadOf } from '../state/format.js';
import { stepsOf } from '../state/markets.js';
import { selection } from '../state/selection.js';
import { isSandbox } from '../state/server.js';
import { keyOf, unwatch, watchList, type WatchedMarket } from '../state/settings.js';
import { Age, FeedWord } from './feed-word.js';

const MARKS = { up: '▲ ', down: '▼ ', even: '' } as const;

const Move = ({ percent }: { readonly percent: ReadonlySignal<number | null> }) => {
  const sign = useComputed(() => {
    const { value } = percent;
    return value === null || value === 0 ? 'even' : value > 0 ? 'up' : 'down';
  });
  const said = useComputed(() => MARKS[sign.value] + formatPercent(percent.value));
  const looks = useComputed(() => `move ${sign.value}`);
  return (
    <span class={looks} title="since the page was opened">
      {said}
    </span>
  );
};

/** Drawn once: a tick changes the texts of what has changed, and nothing is compared. */
const WatchRow = ({ market }: { readonly market: WatchedMarket }) => {
  const { feed, opened } = rowOf(market);
  const event = feed.value;
  const useText = (name: 'last' | 'bid' | 'ask') =>
    useComputed(() => formatNumber(event.value?.[name], stepsOf(market).price));
  const [last, bid, ask] = [useText('last'), useText('bid'), useText('ask')];
  const timestamp = useComputed(() => event.value?.timestamp);
  const percent = useComputed(() => {
    const [from, to] = [opened.value, event.value?.last ?? null];
    // As it is shown, so that what is shown as nothing has no direction.
    return from === null || to === null || from === 0
      ? null
      : Number((((to - from) / from) * 100).toFixed(2));
  });
  const spread = useComputed(() => {
    const bp = event.value === null ? null : spreadOf(event.value.bid, event.value.ask);
    return bp === null ? '' : `${bp.toFixed(1)} bp`;
  });
  const now = selection.value;
  const isSelected = now?.exchange === market.exchange && now.symbol === market.symbol;
  const isStale = feed.word.value === 'stale';
  const Price = isStale ? 's' : 'span';
  return (
    <tr
      class={`${isSelected ? 'selected' : ''} ${isStale ? 'is-stale' : ''}`}
      data-market={keyOf(market)}
      data-timestamp={timestamp}
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
        <Price class="last">{last}</Price>
        <small>
          <Move percent={percent} />
        </small>
      </td>
      <td class="number">
        <Price class="bid">{bid}</Price>
        <br />
        <Price class="ask">{ask}</Price>
      </td>
      <td class="number">
        <Age timestamp={timestamp} />
        <small>{spread}</small>
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
