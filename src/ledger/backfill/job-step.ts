/** One step of a backfill: a page that is asked for and stored, or the end of the job. */
import type { Millis } from '../../schemas/common.js';
import type { Log } from '../../log/log.js';
import { clip, put, type Coverage } from '../coverage.js';
import { nextPage, progressOf, type PlanInput } from '../planner.js';
import { settlePage, type PageEvidence } from '../settle.js';
import type { CandleStore, Job } from '../store.js';
import type { Writer } from '../writer.js';
import type { JobListing } from './job-listing.js';
import { nameOf, type JobPlans } from './job-plan.js';
import type { PageRequests } from './page-requests.js';

/** Pages in a row that change nothing: the venue will not say more. */
const MAX_IDLE_PAGES = 3;

export interface JobSteps {
  /** Rejects with AppErrors and StoreErrors. */
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

export const createJobSteps = (deps: JobStepsDeps): JobSteps => {
  const { requests, plans, listing, writer, settleMs, log, now } = deps;
  const idle = new Map<string, number>();
  let pages = 0;

  const finish = async (store: CandleStore, job: Job, plan: PlanInput): Promise<void> => {
    const change = plans.progress(job, plan);
    const end = { state: 'done', percent: 100, etaSeconds: null, waitingFor: null, error: null } as const;
    await store.updateJob(job.id, { ...change, ...end }, now());
    idle.delete(job.id);
    for (const { from, to, state, recheckAt } of plan.coverage)
      if (state === 'suspect' && recheckAt !== null)
        await store.addDue({ ...nameOf(job), at: recheckAt, from, to });
    log.info({ ...nameOf(job), id: job.id, candles: change.candles }, 'a backfill is done');
  };

  const storePage = async (page: PageEvidence, job: Job, plan: PlanInput): Promise<void> => {
    const learnt: readonly Coverage[] = settlePage(page, settleMs)?.coverage ?? [];
    let coverage: readonly Coverage[] = plan.coverage;
    for (const range of learnt) coverage = put(coverage, [range]);
    const after = { ...plan, coverage: clip(coverage, plan.span), now: now() };
    const before = progressOf(plan);
    const change = plans.progress(job, after);
    const moved = progressOf(after).percent > before.percent || change.candles > before.candles;
    idle.set(job.id, moved ? 0 : (idle.get(job.id) ?? 0) + 1);
    await writer.addForJob(page, {
      id: job.id,
      update: { ...change, pages: job.pages + 1, state: 'running', waitingFor: null, error: null },
    });
    pages += 1;
  };

  return {
    pages: () => pages,
    async step(store, job) {
      let work = await plans.work(store, job);
      let plan = await plans.plan(store, work);
      if (nextPage(plan) === null) return finish(store, job, plan);
      if (await listing.learn(store, work, plan)) {
        work = await plans.work(store, job);
        plan = await plans.plan(store, work);
      }
      const ask = nextPage(plan);
      if (ask === null) return finish(store, job, plan);
      if ((idle.get(job.id) ?? 0) >= MAX_IDLE_PAGES) {
        const error = 'The exchange gives nothing more for this range.';
        await store.updateJob(job.id, { state: 'failed', error, etaSeconds: null }, now());
        return;
      }
      const page = await requests.ask(work.name, ask);
      await storePage(page, job, plan);
      // A symbol that the venue spells otherwise is kept under the venue's spelling.
      work = await plans.work(store, job);
      plan = await plans.plan(store, work);
      if (nextPage(plan) !== null) return;
      const latest = await store.job(job.id);
      if (latest !== null) await finish(store, latest, plan);
    },
  };
};
