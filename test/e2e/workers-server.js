// The built server around a supervisor whose workers can be told to misbehave: `{ fault, exchange }` over IPC. Tests only.
import { MessageChannel, Worker } from 'node:worker_threads';
import { buildApp } from '../../dist/app/app.js';
import { loadConfig } from '../../dist/config/config.js';
import { createSupervisor } from '../../dist/exchanges/worker/supervisor.js';

const config = loadConfig(process.env);
const faultPorts = new Map();
const log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (details, message) => process.send({ log: message, details: JSON.parse(JSON.stringify(details)) }),
  error: (details, message) => process.send({ log: message, details: JSON.parse(JSON.stringify(details)) }),
};

const supervisor = createSupervisor({
  workers: config.exchangeWorkers,
  exchanges: config.enabledExchanges,
  clientOptions: {
    exchangeOptions: config.exchangeOptions,
    budget: config.budget,
    upstreamTimeoutMs: config.upstreamTimeoutMs,
    proxy: config.proxy,
    sandboxUrl: config.sandbox,
    userAgent: 'test',
  },
  log,
  now: Date.now,
  spawn: (data, resourceLimits) => {
    const { port1, port2 } = new MessageChannel();
    for (const exchange of data.clientOptions.exchanges) faultPorts.set(exchange, port1);
    port1.unref();
    return new Worker(new URL('./workers-entry.js', import.meta.url), {
      workerData: { ...data, faultPort: port2 },
      transferList: [port2],
      resourceLimits,
      execArgv: [],
    });
  },
});

// A machine that has no time for this thread would have it refuse requests, whatever workers do: not the matter here.
const loadGauge = { overloaded: () => false, lagMs: () => 0, close: () => undefined };
const app = await buildApp(config, { exchangeClient: supervisor, loadGauge, log });
await app.listen({ port: 0, host: '127.0.0.1' });
process.on('message', (message) => {
  if (message.fault === undefined) process.send({ stats: supervisor.stats() });
  else faultPorts.get(message.exchange).postMessage(message.fault);
});
process.once('SIGTERM', () => void app.close().then(() => process.disconnect()));
process.send({ url: `http://127.0.0.1:${app.server.address().port}` });
