/** A range's coverage as callers get it, without holes: stored coverage, and the ranges in between. Pure. */
import type { Millis } from '../schemas/common.js';
import { subtract, type Coverage, type Span } from './coverage.js';
import type { Job, SeriesInfo } from './store.js';

export interface CoverageRange extends Span {
  /** unknown: never requested; pending: a job is going to fetch it. */
  readonly state: Coverage['state'] | 'unknown' | 'pending';
  readonly reason: string | null;
  readonly source: string | null;
  readonly checkedAt: Millis | null;
}

export interface CoverageAnswer {
  readonly symbol: string;
  /** null: nothing is stored. */
  readonly series: SeriesInfo | null;
  /** Half-open, sorted, disjoint, without holes between them. */
  readonly ranges: readonly CoverageRange[];
}

type JobSpan = Pick<Job, 'from' | 'to'>;

const endOf = ({ to }: JobSpan): Millis => to ?? Infinity;

/** A stretch cut where jobs begin and end, so that each part lies wholly in one or outside of all. */
const splitByJobs = (part: Span, jobs: readonly JobSpan[]): Span[] => {
  const cuts = jobs
    .flatMap((job) => [job.from, endOf(job)])
    .filter((at) => at > part.from && at < part.to)
    .sort((a, b) => a - b);
  const spans: Span[] = [];
  let { from } = part;
  for (const to of [...cuts, part.to]) {
    if (to > from) spans.push({ from, to });
    from = to;
  }
  return spans;
};

const older = (a: Millis | null, b: Millis | null): Millis | null =>
  a === null || b === null ? null : Math.min(a, b);

/** Merges equal neighbours. */
const joined = (ranges: readonly CoverageRange[]): CoverageRange[] => {
  const found: CoverageRange[] = [];
  for (const range of ranges) {
    const last = found.at(-1);
    if (
      last?.to === range.from &&
      last.state === range.state &&
      last.reason === range.reason &&
      last.source === range.source
    )
      found[found.length - 1] = {
        ...last,
        to: range.to,
        checkedAt: older(last.checkedAt, range.checkedAt),
      };
    else found.push(range);
  }
  return found;
};

const storedRange = ({ from, to, state, reason, source, checkedMin }: Coverage): CoverageRange => ({
  ...{ from, to, state, reason, source },
  checkedAt: checkedMin,
});

/** `coverage` lies within `span`; `jobs`: those of this series that are open. */
export const coverageRanges = (
  span: Span,
  coverage: readonly Coverage[],
  jobs: readonly JobSpan[],
): CoverageRange[] => {
  const isPending = (at: Span): boolean => jobs.some((job) => job.from < at.to && endOf(job) > at.from);
  const rest = subtract(span, coverage)
    .flatMap((part) => splitByJobs(part, jobs))
    .map((part): CoverageRange => ({
      ...part,
      ...{ state: isPending(part) ? 'pending' : 'unknown', reason: null, source: null, checkedAt: null },
    }));
  return joined([...coverage.map(storedRange), ...rest].sort((a, b) => a.from - b.from));
};
