/** The MCP route alone, listening on loopback, over a fake MarketData. */
import Fastify from 'fastify';
import type { AddressInfo } from 'node:net';
import { addAnswers } from '../../../src/http/requests/answer-record.js';
import { addCommonHeaders } from '../../../src/http/answers/common-headers.js';
import { addErrorAnswers } from '../../../src/http/problems/error-handler.js';
import { addAccess } from '../../../src/http/access/access-hook.js';
import { mcpRoutes, type McpRouteOptions } from '../../../src/http/routes/mcp.js';
import { silentLog } from '../../../src/log/log.js';
import { FakeLedger } from '../../unit/mcp/fake-ledger.js';
import { FakeMarketData, NOW } from '../../unit/mcp/fake-market-data.js';

export const startMcpApp = async (overrides: Partial<McpRouteOptions> = {}) => {
  const marketData = new FakeMarketData();
  const app = Fastify();
  addAnswers(app);
  addCommonHeaders(app, { corsOrigins: overrides.corsOrigins ?? true });
  addAccess(app, { access: null, metricsAuth: false });
  addErrorAnswers(app, { log: silentLog, now: () => NOW });
  await app.register(mcpRoutes, {
    marketData,
    ledger: new FakeLedger(),
    sandbox: false,
    version: '1.0.0',
    now: () => NOW,
    corsOrigins: true,
    countMore: () => undefined,
    answered: () => undefined,
    log: silentLog,
    ...overrides,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  return { app, marketData, url: new URL(`http://127.0.0.1:${port}/mcp`) };
};
