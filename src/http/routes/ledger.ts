/** The candle ledger: what is known of a series, what was corrected, exports, and backfills. */
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { AppError } from '../../errors.js';
import { candleUnits } from '../../access/permit.js';
import { csvOf } from '../../ledger/export/csv.js';
import { coverageBodyOf } from '../../ledger/coverage-body.js';
import type { ExportPlan } from '../../ledger/export/export-plan.js';
import type { Ledger } from '../../ledger/ledger.js';
import type { Revision } from '../../ledger/merge.js';
import type { SeriesName } from '../../ledger/settle.js';
import { noStore } from '../../ledger/store-status.js';
import type { Job } from '../../ledger/store.js';
import type { ResolvedExchange } from '../../exchanges/exchange-names.js';
import type { MarketData } from '../../market-data/market-data-api.js';
import {
  backfill,
  backfillsAnswer,
  coverageAnswer,
  revisionsAnswer,
  type BackfillBody,
  type RevisionsBody,
} from '../../schemas/ledger.js';
import {
  backfillBody,
  backfillParams,
  coverageQuery,
  exportQuery,
  revisionsQuery,
} from '../../schemas/query.js';
import { CSV_CONTENT_TYPE } from '../answers/csv-form.js';
import { dataGapsHeader } from '../answers/data-gaps.js';
import { sendJson } from '../answers/json-answer.js';
import { attachment, fileStem } from '../answers/presentation.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';
import { etagOf } from '../../cache/etag.js';

const MAX_JOBS = 200;

export interface LedgerRoutesOptions {
  readonly marketData: Pick<MarketData, 'resolveExchange' | 'resolveStoredExchange' | 'listedName'>;
  /** null: no candles are kept. */
  readonly ledger: Ledger | null;
  /** Callers may start and cancel backfills. */
  readonly backfillApi: boolean;
  readonly sandbox: boolean;
}

const tags = ['ledger'];
const SCHEMAS = {
  coverage: {
    tags,
    operationId: 'getCandleCoverage',
    summary: 'What is known of a series of candles',
    description: 'Half-open ranges without overlaps. Makes no upstream call.',
    querystring: coverageQuery,
    'x-answer': coverageAnswer,
    'x-errors': ['unknown_exchange', 'interval_not_supported', 'plan_forbids', 'not_found'],
  },
  revisions: {
    tags,
    operationId: 'getCandleRevisions',
    summary: 'Candles that the exchange has corrected',
    description: 'The values that were replaced, newest first.',
    querystring: revisionsQuery,
    'x-answer': revisionsAnswer,
    'x-errors': ['unknown_exchange', 'interval_not_supported', 'plan_forbids', 'not_found'],
  },
  export: {
    tags,
    operationId: 'exportCandles',
    summary: 'Stored candles as a file',
    description:
      'Settled candles only, oldest first, streamed. Holes are told by the Data-Gaps header of CSV and by the footer of Parquet.',
    querystring: exportQuery,
    produces: ['text/csv'],
    'x-answer': z.string(),
    'x-errors': ['unknown_exchange', 'interval_not_supported', 'plan_forbids', 'not_found'],
  },
  list: {
    tags,
    operationId: 'listBackfills',
    summary: 'Backfills, newest first',
    description: 'At most 200.',
    'x-answer': backfillsAnswer,
    'x-errors': ['not_found'],
  },
  one: {
    tags,
    operationId: 'getBackfill',
    summary: 'One backfill',
    description: 'How far it is and what it waits for.',
    params: backfillParams,
    'x-answer': backfill,
    'x-errors': ['not_found'],
  },
  add: {
    tags,
    operationId: 'startBackfill',
    summary: 'Start a backfill',
    description: 'Only where BACKFILL_API is true. An equal open one is given instead of a second one.',
    body: backfillBody,
    'x-responses': { 202: backfill },
    'x-errors': [
      'exchange_not_enabled',
      'unknown_exchange',
      'interval_not_supported',
      'plan_forbids',
      'feature_disabled',
      'not_found',
    ],
  },
  cancel: {
    tags,
    operationId: 'cancelBackfill',
    summary: 'Cancel a backfill',
    description: 'Only where BACKFILL_API is true. At most the page that is under way follows.',
    params: backfillParams,
    'x-answer': backfill,
    'x-errors': ['feature_disabled', 'not_found'],
  },
} as const;

const revisionBodyOf = ({
  seenAt,
  replacedAt,
  ...revision
}: Revision): RevisionsBody['revisions'][number] => ({
  ...revision,
  seen_at: seenAt,
  replaced_at: replacedAt,
});

/** `exchange`: under the name that is to be told. */
const jobBodyOf = (exchange: string, job: Job): BackfillBody => {
  const { id, symbol, interval, from, to, state, percent, pages, candles, reached, error } = job;
  return {
    ...{ id, exchange, symbol, interval, from, to, state, percent, pages, candles, reached },
    eta_seconds: job.etaSeconds,
    waiting_for: job.waitingFor,
    error,
  };
};

/** The same pages; the request costs what the candles do that it was given. */
async function* charging(
  request: FastifyRequest,
  pages: ReturnType<ExportPlan['pages']>,
): ReturnType<ExportPlan['pages']> {
  let candles = 0;
  for await (const page of pages) {
    candles += page.length;
    if (request.units !== null) request.units = candleUnits(candles);
    yield page;
  }
}

export const ledgerRoutes: FastifyPluginCallbackZod<LedgerRoutesOptions> = (app, options, done) => {
  const { marketData, backfillApi, sandbox } = options;

  const ledgerOf = (): Ledger => {
    if (options.ledger !== null) return options.ledger;
    throw noStore();
  };
  /** Before the request is read: what is turned off is said to be so, however the request is written. */
  const requireApi: onRequestHookHandler = (_request, _reply, next) => {
    const off = new AppError('feature_disabled', 'Backfills are started here only where BACKFILL_API=true.');
    if (options.ledger === null) next(noStore());
    else if (backfillApi) next();
    else next(off);
  };
  const sourceOf = (exchange: string): string => (sandbox ? 'sandbox; via=store' : `${exchange}; via=store`);
  const seriesOf = (
    request: FastifyRequest,
    query: { readonly exchange: string; readonly symbol: string; readonly interval: string },
  ): { readonly as: ResolvedExchange; readonly name: SeriesName } => {
    const as = marketData.resolveStoredExchange(query.exchange);
    request.exchangeId = as.exchange;
    app.permitOf(request).requireExchange(as.exchange);
    return { as, name: { exchange: as.exchange, symbol: query.symbol, interval: query.interval } };
  };
  const send = (request: FastifyRequest, reply: FastifyReply, value: object): FastifyReply => {
    const body = Buffer.from(JSON.stringify(value));
    reply.header('cache-control', 'no-store');
    return sendJson(request, reply, { body, etag: etagOf(body) });
  };
  const listed = (job: Job): BackfillBody => jobBodyOf(marketData.listedName(job.exchange), job);
  const found = (job: Job | null): BackfillBody => {
    if (job !== null) return listed(job);
    throw new AppError('not_found', 'There is no backfill with this id.');
  };

  app.get('/v1/markets/ohlcv/coverage', { schema: SCHEMAS.coverage }, async (request, reply) => {
    const ledger = ledgerOf();
    const { interval, from, to } = request.query;
    const { as, name } = seriesOf(request, request.query);
    const coverage = await ledger.coverage(name, { from, to });
    reply.header('data-source', sourceOf(as.exchange));
    return send(request, reply, coverageBodyOf(as.name, interval, coverage));
  });

  app.get('/v1/markets/ohlcv/revisions', { schema: SCHEMAS.revisions }, async (request, reply) => {
    const ledger = ledgerOf();
    const { from, to, limit } = request.query;
    const { as, name } = seriesOf(request, request.query);
    const revisions = await ledger.revisions(name, { from, to }, limit);
    reply.header('data-source', sourceOf(as.exchange));
    return send(request, reply, { revisions: revisions.map(revisionBodyOf) });
  });

  app.get('/v1/markets/ohlcv/export', { schema: SCHEMAS.export }, async (request, reply) => {
    const ledger = ledgerOf();
    const { from, to, format } = request.query;
    const { as, name } = seriesOf(request, request.query);
    const plan = await ledger.exporting(name, { from, to });
    const stem = fileStem(as.exchange, plan.name.symbol, plan.name.interval);
    reply
      .header('cache-control', 'no-store')
      .header('data-source', sourceOf(as.exchange))
      .header(...attachment(`${stem}.${format}`));
    const pages = () => charging(request, plan.pages());
    const gaps = dataGapsHeader(plan.gaps);
    if (gaps !== null) reply.header('data-gaps', gaps);
    if (format === 'csv') {
      reply.header('content-type', CSV_CONTENT_TYPE);
      return reply.send(Readable.from(csvOf(pages()), { objectMode: false }));
    }
    const { parquetOf } = await import('../../ledger/export/parquet.js');
    reply.header('content-type', 'application/vnd.apache.parquet');
    return reply.send(Readable.from(parquetOf({ ...plan, pages }, as.exchange), { objectMode: false }));
  });

  app.get('/v1/backfills', { schema: SCHEMAS.list }, async (request, reply) => {
    const jobs = await ledgerOf().jobs(MAX_JOBS);
    return send(request, reply, { backfills: jobs.map(listed) });
  });

  app.get('/v1/backfills/:id', { schema: SCHEMAS.one }, async (request, reply) =>
    send(request, reply, found(await ledgerOf().job(request.params.id))),
  );

  app.post('/v1/backfills', { schema: SCHEMAS.add, onRequest: requireApi }, async (request, reply) => {
    const ledger = ledgerOf();
    const { exchange: asked, symbol, interval, from, to } = request.body;
    const { name, exchange } = marketData.resolveExchange(asked);
    request.exchangeId = exchange;
    const permit = app.permitOf(request);
    permit.requireExchange(exchange);
    permit.requireBackfill();
    const job = await ledger.addJob({ exchange, symbol, interval }, { from, to });
    return reply
      .code(202)
      .header('location', `/v1/backfills/${job.id}`)
      .header('cache-control', 'no-store')
      .header('content-type', JSON_CONTENT_TYPE)
      .send(JSON.stringify(jobBodyOf(name, job)));
  });

  app.delete(
    '/v1/backfills/:id',
    { schema: SCHEMAS.cancel, onRequest: requireApi },
    async (request, reply) => {
      const ledger = ledgerOf();
      return send(request, reply, found(await ledger.cancelJob(request.params.id)));
    },
  );
  done();
};
