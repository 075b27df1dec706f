/** One step of a backfill: fetches and stores a page, or ends the job. */
import type { Millis } from '../../schemas/common.js';
import { addPeriods, nextPeriodStart, type Interval } from '../../lib/intervals.js';
import type { Log } from '../../log/log.js';
import { clip, missing, put } from '../coverage.js';
import { doneOf, nextPage, progressOf, type DoneStretch, type PageToAsk } from '../planner.js';
import { settlePage, type PageEvidence } from '../settle.js';
import type { CandleStore, Job } from '../store.js';
import type { Writer } from '../writer.js';
import type { JobListing } from './job-listing.js';
import type { JobPlan, JobPlans, Work } from './job-plan.js';
import type { PageRequests } from './page-requests.js';

/** Pages in a row without a change after which the job ends: the venue gives no more. */
const MAX_IDLE_PAGES = 3;

/** State of a job between two of its steps; not kept over a restart. */
interface Memory {
  readonly idlePages: number;
  readonly resumeAt: Millis | null;
  readonly refusedTo: Millis | null;
  readonly done: DoneStretch | null;
}
const NOTHING: Memory = { idlePages: 0, resumeAt: null, refusedTo: null, done: null };

export interface JobSteps {
  /** Ends the job where nothing of its range is missing; makes no request. Rejects with AppErrors and StoreErrors. */
  endIfComplete(store: CandleStore, job: Job): Promise<boolean>;
  /** One page, or the end. Rejects with AppErrors and StoreErrors. */
  step(store: CandleStore, job: Job): Promise<void>;
  /** Pages stored. */
  pages(): number;
}

export interface JobStepsDeps {
  readonly requests: PageRequests;
  readonly plans: JobPlans;
  readonly listing: JobListing;
  readonly writer: Pick<Writer, 'addForJob'>;
  readonly settleMs: Millis;
  readonly log: Log;
  readonly now: () => Millis;
}

/**
 * A venue that gives fewer rows than were asked for may leave out the first ones. Its page says nothing of the time before
 * its first row then: that is asked for on its own, and is a hole only where it does not come either.
 */
const withoutHead = (page: PageEvidence, interval: Interval): PageEvidence => {
  const { kind, since, limit, rows } = page;
  const first = rows[0]?.timestamp;
  if (kind !== 'jump' || since === null || first === undefined || rows.length >= limit) return page;
  const end = addPeriods(interval, nextPeriodStart(interval, since), limit);
  return first > since && first < end ? { ...page, since: first } : page;
};

/** Where the page has left a rest of what it was asked for, behind its beginning; null where it has not. */
const restOf = ({ since, limit }: PageToAsk, { interval, span, coverage, now }: JobPlan): Millis | null => {
  const newest = missing(span, coverage, now).at(-1);
  if (newest === undefined || newest.from <= since) return null;
  return newest.from < addPeriods(interval, since, limit) ? newest.from : null;
};

export const createJobSteps = (deps: JobStepsDeps): JobSteps => {
  const { requests, plans, listing, writer, settleMs, log, now } = deps;
  const memories = new Map<string, Memory>();
  let pages = 0;

  const planOf = async (
    store: CandleStore,
    job: Job,
    done: DoneStretch | null = null,
  ): Promise<{ work: Work; plan: JobPlan }> => {
    const work = await plans.work(store, job);
    return { work, plan: await plans.plan(store, work, done) };
  };

  const finish = async (store: CandleStore, { job, name }: Work, plan: JobPlan): Promise<void> => {
    memories.delete(job.id);
    const change = plans.progress(job, plan);
    const end = { state: 'done', percent: 100, etaSeconds: null, waitingFor: null, error: null } as const;
    // One that was extended meanwhile goes on.
    if ((await store.updateJob(job.id, { ...change, ...end, ifTo: job.to }, now())) === null) return;
    for (const { from, to, state, recheckAt } of plan.coverage)
      if (state === 'suspect' && recheckAt !== null) await store.addDue({ ...name, at: recheckAt, from, to });
    log.info({ ...name, id: job.id, candles: change.candles }, 'a backfill is done');
  };

  /** All pages are there: what came empty at their beginning may lie before the listing. */
  const conclude = async (
    store: CandleStore,
    { work, plan }: { readonly work: Work; readonly plan: JobPlan },
  ): Promise<void> => {
    const learnt = work.job.pages > 0 && (await listing.learn(store, work, plan));
    await finish(store, work, learnt ? await plans.plan(store, work) : plan);
  };

  const storePage = async (page: PageEvidence, job: Job, plan: JobPlan): Promise<void> => {
    const coverage = put(plan.coverage, settlePage(page, settleMs)?.coverage ?? []);
    const progress = plans.progress(job, { ...plan, coverage: clip(coverage, plan.span), now: now() });
    const running = { state: 'running', waitingFor: null, error: null } as const;
    const update = { ...progress, ...running, symbol: page.symbol, pages: job.pages + 1 };
    await writer.addForJob(page, { id: job.id, update });
    pages += 1;
  };

  const fail = async (store: CandleStore, job: Job, error: string): Promise<void> => {
    memories.delete(job.id);
    await store.updateJob(job.id, { state: 'failed', error, etaSeconds: null, waitingFor: null }, now());
  };

  return {
    pages: () => pages,
    async endIfComplete(store, job) {
      const { work, plan } = await planOf(store, job);
      if (nextPage(plan) !== null) return false;
      await finish(store, work, plan);
      return true;
    },
    async step(store, job) {
      const memory = memories.get(job.id) ?? NOTHING;
      let { work, plan } = await planOf(store, job, memory.done);
      if (nextPage(plan) !== null && (await listing.learn(store, work, plan)))
        ({ work, plan } = await planOf(store, job));
      // What was done long ago may be due again, and the end of the job is told from all of it.
      if (plan.done !== null && nextPage(plan) === null) ({ work, plan } = await planOf(store, job));
      const { resumeAt, refusedTo } = memory;
      const ask = nextPage({ ...plan, resumeAt, refusedTo });
      if (ask === null) return conclude(store, { work, plan });
      if (memory.idlePages >= MAX_IDLE_PAGES)
        return fail(store, job, 'The exchange gives nothing more for this range.');
      const asked = await requests.ask(work.name, ask);
      const page = {
        ...withoutHead(asked, plan.interval),
        // Nor is anything that starts earlier.
        ...(asked.refused === undefined ? {} : { since: plan.span.from }),
        anchor: plan.series?.anchor,
      };
      await storePage(page, job, plan);
      const latest = await store.job(job.id);
      if (latest === null) return;
      // A symbol that the venue spells otherwise is kept under the venue's spelling.
      const after = await planOf(store, latest, plan.done);
      const before = progressOf(plan);
      const then = progressOf({ ...plan, coverage: clip(after.plan.coverage, plan.span) });
      const moved = then.left < before.left || then.candles > before.candles;
      memories.set(job.id, {
        idlePages: moved ? 0 : memory.idlePages + 1,
        resumeAt: restOf(ask, after.plan),
        done: doneOf(after.plan),
        refusedTo: page.refused === undefined ? memory.refusedTo : page.refused.told ? null : page.refused.to,
      });
      if (nextPage(after.plan) !== null) return;
      const whole = after.plan.done === null ? after : await planOf(store, latest);
      // What was done long ago may be missing again: a series whose periods have moved begins anew.
      if (nextPage(whole.plan) === null) await conclude(store, whole);
    },
  };
};
