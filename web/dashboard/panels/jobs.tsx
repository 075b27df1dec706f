/** Backfills: what fetches history now, how far it is, and why it waits or failed. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { formatIso, formatLeft } from '../state/format.js';
import { describe, getJson, status } from '../state/server.js';

/** As GET /v1/backfills has it. */
interface Backfill {
  readonly id: string;
  readonly exchange: string;
  readonly symbol: string;
  readonly interval: string;
  readonly from: number;
  readonly to: number | null;
  readonly state: string;
  readonly percent: number;
  readonly candles: number;
  readonly eta_seconds: number | null;
  readonly waiting_for: string | null;
  readonly error: string | null;
}

const EVERY_MS = 5000;
const jobs = signal<readonly Backfill[] | null>(null);
const fault = signal<string | null>(null);

const read = async (): Promise<void> => {
  try {
    jobs.value = (await getJson<{ readonly backfills: readonly Backfill[] }>('v1/backfills')).backfills;
    fault.value = null;
  } catch (error) {
    fault.value = describe(error);
  }
};

const Job = ({ job }: { readonly job: Backfill }) => (
  <tr>
    <th scope="row">
      {job.exchange} {job.symbol} {job.interval}
    </th>
    <td>
      {formatIso(job.from)} – {job.to === null ? 'now, kept complete' : formatIso(job.to)}
    </td>
    <td>{job.state}</td>
    <td class="number">
      <progress max={100} value={job.percent} aria-label="Done" /> {job.percent.toFixed(0)} %
    </td>
    <td class="number">{job.candles}</td>
    <td>{job.eta_seconds === null ? '–' : formatLeft(job.eta_seconds * 1000)}</td>
    <td>{job.error ?? job.waiting_for ?? '–'}</td>
  </tr>
);

const COLUMNS = ['Series', 'Range', 'State', 'Done', 'Candles', 'Left', 'Waits for, failed by'];

export const Jobs = () => {
  const hasStore = status.value?.body.features.store === true;
  useEffect(() => {
    if (!hasStore) return;
    void read();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void read();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [hasStore]);
  if (!hasStore) return <p class="empty">Backfills are not on this server: it keeps no candles.</p>;
  if (fault.value !== null) return <p class="empty fault">{fault}</p>;
  if (jobs.value === null) return <p class="empty">…</p>;
  if (jobs.value.length === 0) return <p class="empty">No backfill was ever asked for.</p>;
  return (
    <table>
      <caption class="hidden">Backfills, newest first</caption>
      <thead>
        <tr>
          {COLUMNS.map((name) => (
            <th scope="col">{name}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {jobs.value.map((job) => (
          <Job key={job.id} job={job} />
        ))}
      </tbody>
    </table>
  );
};
