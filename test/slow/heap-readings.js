// Preloaded into every thread of a server: every SOAK_EVERY_MS it collects garbage and appends a line to SOAK_READINGS.
// Tests only.
import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

setInterval(() => {
  collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const reading = { thread: threadId, heapBytes: heapUsed + external, rssBytes: rss, cpuUs: user + system };
  appendFileSync(process.env.SOAK_READINGS, `${JSON.stringify(reading)}\n`);
}, Number(process.env.SOAK_EVERY_MS)).unref();
