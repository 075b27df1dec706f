// CCXT's tables say what a venue has; what it gives without a key shows when it is asked.
import { afterEach, expect, it } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { calmGauge } from '../../support/app.js';
import { recordingLog } from '../../support/recording-log.js';
import { reply, startFakeVenue, type FakeVenue } from '../../support/fake-venue.js';

let app: FastifyInstance | undefined;
let venue: FakeVenue | undefined;
afterEach(async () => {
  await app?.close();
  await venue?.close();
});

it('trades that Coinbase Exchange refuses without a key are false in /v1/exchanges, the rest stays true', async () => {
  const product = {
    ...{ id: 'BTC-USD', base_currency: 'BTC', quote_currency: 'USD', status: 'online' },
    ...{ base_increment: '0.00000001', quote_increment: '0.01' },
  };
  venue = await startFakeVenue({
    answer: ({ path }) => {
      if (path.endsWith('/products')) return [product];
      if (path.endsWith('/trades'))
        return reply({ status: 401, body: { message: 'CB-ACCESS-KEY header is required' } });
      return { bids: [['1', '1', 1]], asks: [['2', '1', 1]] };
    },
  });
  const settings = { REDIS_ENABLED: 'false', MAX_RETRIES: '0', EXCHANGE_WORKERS: '0', SANDBOX: venue.url };
  app = await buildApp(loadConfig({ ...settings, ENABLED_EXCHANGES: 'coinbaseexchange' }), {
    log: recordingLog(),
    loadGauge: calmGauge,
  });
  const server = app;
  const capabilities = async () => {
    const { exchanges } = (await server.inject('/v1/exchanges')).json<{
      exchanges: { capabilities: Record<string, unknown> }[];
    }>();
    return exchanges[0]?.capabilities;
  };
  const before = await capabilities();
  expect(before).toMatchObject({ trades: true, orderbook: true });
  const ask = (kind: string) => server.inject(`/v1/markets/${kind}?exchange=coinbaseexchange&symbol=BTC/USD`);
  expect((await ask('orderbook')).statusCode).toBe(200);
  expect((await ask('trades')).json()).toMatchObject({ code: 'upstream_auth_required' });
  expect(await capabilities()).toEqual({ ...before, trades: false });
});
