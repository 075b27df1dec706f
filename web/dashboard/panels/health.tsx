/** How the server and its exchanges are. States without a feed in them are not named. */
import { signal } from '@preact/signals';
import type { ExchangeStatus } from '../../client/client.js';
import { clusterNote } from '../state/cluster.js';
import { formatAge, formatLeft, formatTime } from '../state/format.js';
import { dependOn } from '../state/frame.js';
import { status } from '../state/server.js';
import { tick } from '../state/visibility.js';
import { lazy } from './lazy.js';

const isJobsOpen = signal(false);
const JobsView = lazy(async () => (await import('./jobs.js')).Jobs);

const ICONS: Readonly<Record<ExchangeStatus['state'], string>> = {
  idle: '○',
  loading: '…',
  ok: '●',
  cooling_down: '❄',
  failing: '✕',
  restarting: '⟳',
};

const FEED_STATES = ['live', 'polling', 'reconnecting', 'stale'] as const;

const feedsOf = ({ feeds }: ExchangeStatus): string => {
  const named = FEED_STATES.filter((state) => feeds[state] > 0).map((state) => `${feeds[state]} ${state}`);
  return named.length === 0 ? 'none' : named.join(', ');
};

const Budget = ({ budget }: Pick<ExchangeStatus, 'budget'>) => (
  <>
    <meter min={0} max={budget.limit} value={budget.remaining} aria-label="Requests left of the budget">
      {budget.remaining}
    </meter>{' '}
    budget {budget.remaining}/{budget.limit}
  </>
);

const ExchangeRow = ({ exchange, since }: { readonly exchange: ExchangeStatus; readonly since: number }) => {
  const { oldest_tick_age_ms: oldest, markets_age_ms: markets, cooldown_ms: coolDown } = exchange;
  const left = coolDown - since;
  const error = exchange.last_error;
  return (
    <tr data-exchange={exchange.id}>
      <th scope="row">{exchange.id}</th>
      <td class={`state ${exchange.state}`}>
        <span aria-hidden="true">{ICONS[exchange.state]} </span>
        {exchange.state.replace('_', ' ')}
        {left > 0 && `, ${formatLeft(left)} left`}
      </td>
      <td>{feedsOf(exchange)}</td>
      <td class="number">{formatAge(oldest === null ? null : oldest + since)}</td>
      <td>
        <Budget budget={exchange.budget} />
      </td>
      <td>circuit {exchange.circuit.replace('_', ' ')}</td>
      <td class="number">{formatAge(markets === null ? null : markets + since)}</td>
      <td class="number">{exchange.reconnects}</td>
      <td>{error === null ? '–' : `${formatTime(error.at)} ${error.code}: ${error.detail ?? ''}`}</td>
    </tr>
  );
};

const COLUMNS = [
  'Exchange',
  'State',
  'Feeds',
  'Oldest tick',
  'Requests',
  'Circuit',
  'Markets',
  'Breaks',
  'Last error',
];

const Exchanges = () => {
  dependOn(tick);
  const known = status.value;
  if (known === null) return <p class="empty">The server has not answered yet.</p>;
  const since = performance.now() - known.at;
  const { ledger, uptime, cluster } = known.body;
  return (
    <>
      <table class="exchanges">
        <caption class="hidden">Each exchange with its feeds and the budget of requests</caption>
        <thead>
          <tr>
            {COLUMNS.map((name) => (
              <th scope="col">{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {known.body.exchanges.map((exchange) => (
            <ExchangeRow key={exchange.id} exchange={exchange} since={since} />
          ))}
        </tbody>
      </table>
      <p class="note">
        up {formatLeft(uptime * 1000 + since)}; candle store{' '}
        {ledger === null
          ? 'none'
          : `${ledger.state}, ${ledger.series ?? '–'} series, ${ledger.candles ?? '–'} candles`}
        ; said <span class="age">{formatAge(since)}</span> ago
      </p>
      {cluster !== null && <p class="note">{clusterNote(cluster)}</p>}
    </>
  );
};

export const Health = () => (
  <section class="panel health" aria-label="Health">
    <div class="tabs" role="group" aria-label="Of the server">
      <button type="button" aria-pressed={!isJobsOpen.value} onClick={() => (isJobsOpen.value = false)}>
        Health
      </button>
      <button type="button" aria-pressed={isJobsOpen.value} onClick={() => (isJobsOpen.value = true)}>
        Jobs
      </button>
    </div>
    <div class="scroll" tabIndex={0} role="group" aria-label={isJobsOpen.value ? 'Backfills' : 'Exchanges'}>
      {isJobsOpen.value ? <JobsView /> : <Exchanges />}
    </div>
  </section>
);
