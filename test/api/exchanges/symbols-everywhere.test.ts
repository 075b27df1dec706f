// A symbol that /v1/markets lists is taken by every interface: REST, /ws and MCP.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { calmGauge } from '../../support/app.js';
import { recordingLog } from '../../support/recording-log.js';
import { startFakeVenue, type FakeVenue } from '../../support/fake-venue.js';

let app: FastifyInstance | undefined;
let venue: FakeVenue | undefined;
let socket: WebSocket | undefined;
afterEach(async () => {
  socket?.terminate();
  await app?.close();
  await venue?.close();
});

it('"Tokamak Network/KRW" is served over REST, /ws and MCP alike', async () => {
  const ticker = { trade_price: 2512, trade_timestamp: Date.now() };
  venue = await startFakeVenue({
    answer: ({ path }) =>
      path.endsWith('/market/all')
        ? [{ market: 'KRW-TON', english_name: 'Tokamak Network' }]
        : [{ market: 'KRW-TON', ...ticker }],
    onFrame: (_, peer) => peer.send(JSON.stringify({ type: 'ticker', code: 'KRW-TON', ...ticker })),
  });
  const settings = { REDIS_ENABLED: 'false', MAX_RETRIES: '0', EXCHANGE_WORKERS: '0', SANDBOX: venue.url };
  app = await buildApp(loadConfig({ ...settings, ENABLED_EXCHANGES: 'upbit' }), {
    log: recordingLog(),
    loadGauge: calmGauge,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const symbol = 'Tokamak Network/KRW';

  const rest = await app.inject(`/v1/markets/ticker?exchange=upbit&symbol=${encodeURIComponent(symbol)}`);
  expect(rest.json()).toMatchObject({ exchange: 'upbit', symbol, last: 2512 });

  const called = await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: { accept: 'application/json, text/event-stream', host: `127.0.0.1:${port}` },
    payload: {
      ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
      params: { name: 'get_ticker', arguments: { exchange: 'upbit', symbol } },
    },
  });
  expect(called.body).toContain('2512');
  expect(called.body).not.toContain('"isError":true');

  socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  const events: Record<string, unknown>[] = [];
  socket.on('message', (data) => {
    events.push(JSON.parse((data as Buffer).toString()) as Record<string, unknown>);
  });
  await once(socket, 'open');
  socket.send(
    JSON.stringify({
      method: 'subscribe',
      params: { channel: 'ticker', exchange: 'upbit', symbol: [symbol] },
    }),
  );
  const ticks = () => events.filter(({ event_type }) => event_type === 'ticker');
  await expect.poll(ticks, { timeout: 20_000 }).toMatchObject([{ exchange: 'upbit', symbol, last: 2512 }]);
});
