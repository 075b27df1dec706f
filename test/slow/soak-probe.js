// Preloaded into every thread of a process under soak: tells on request what is open and what the heap holds, and lets
// the time of day and the monotonic clock run ahead of the machine's. Tests only.
import { readdirSync, readlinkSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { setImmediate as turn } from 'node:timers/promises';
import * as timers from 'node:timers';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

/** Timers longer than those of single requests end when the shifted clock says so. */
const LONG_MS = 100_000;
const SWEEP_AT = 5000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const machineNow = Date.now;
// A thread that starts later begins where the others are: its environment is a copy.
let aheadMs = Number(process.env.SOAK_AHEAD_MS ?? 0);
Date.now = () => machineNow() + aheadMs;

// Durations are measured by it (src/lib/steady-clock.ts).
const machineHrtime = process.hrtime;
const shiftedHrtime = (since = [0, 0]) => {
  const [seconds, nanoseconds] = machineHrtime();
  const passed = nanoseconds - since[1] + (aheadMs % 1000) * 1e6;
  const whole = Math.floor(passed / 1e9);
  return [seconds - since[0] + Math.floor(aheadMs / 1000) + whole, passed - whole * 1e9];
};
process.hrtime = Object.assign(shiftedHrtime, machineHrtime);

/** Timers that may be running, unref'd ones too, which getActiveResourcesInfo() leaves out; swept before it is read. */
const running = new Set();
const sweep = () => {
  for (const timer of running) if (timer._destroyed) running.delete(timer);
};
/** What is to run when a long timer's time has come. */
const long = new Map();
const counting = (start, once) => {
  const counted = (run, ms, ...args) => {
    const timer = start(run, ms, ...args);
    running.add(timer);
    if (running.size >= SWEEP_AT) sweep();
    if (once && ms >= LONG_MS) long.set(timer, { dueAt: Date.now() + ms, run: () => run(...args) });
    return timer;
  };
  return Object.defineProperties(counted, Object.getOwnPropertyDescriptors(start));
};
const counted = {
  setTimeout: counting(timers.setTimeout, true),
  setInterval: counting(timers.setInterval, false),
};
Object.assign(globalThis, counted);
Object.assign(timers.default, counted);
syncBuiltinESMExports();

const advance = (to) => {
  aheadMs = to;
  process.env.SOAK_AHEAD_MS = String(to);
  for (const [timer, { dueAt, run }] of long) {
    if (!timer._destroyed && dueAt > Date.now()) continue;
    long.delete(timer);
    if (timer._destroyed) continue;
    clearTimeout(timer);
    run();
  }
};

const countBy = (names) => {
  const counts = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

/** libuv's own list, which has the unref'd handles as well. */
const handles = () => {
  process.report.excludeNetwork = true;
  const { libuv } = process.report.getReport();
  return countBy(libuv.map(({ type }) => type).filter((type) => type !== 'loop'));
};

const read = async () => {
  // Finalizers and the closing of what they let go take turns of the loop.
  for (let i = 0; i < 3; i += 1) {
    collectGarbage();
    await turn();
  }
  sweep();
  const { heapUsed, external } = process.memoryUsage();
  return {
    thread: isMainThread ? 'main' : workerData.clientOptions.exchanges.join(','),
    handles: handles(),
    resources: countBy(process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate')),
    timers: running.size,
    heapBytes: heapUsed + external,
  };
};

const descriptor = (fd) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).split(':')[0].replace(/^\/.*/, 'file');
  } catch {
    return null; // The one that listed the folder is closed again.
  }
};

/** Of the whole process; Linux only. */
const processWide = () => ({
  descriptors: countBy(
    readdirSync('/proc/self/fd')
      .map(descriptor)
      .filter((kind) => kind !== null),
  ),
  threads: readdirSync('/proc/self/task').length,
});

const channel = new BroadcastChannel('soak');
channel.unref();

const serve = async ({ id, order, to, thread }) => {
  if (order === 'die' && workerData.clientOptions.exchanges.includes(thread)) process.exit(3);
  if (order === 'advance') advance(to);
  channel.postMessage({ id, reply: order === 'read' ? await read() : {} });
};

if (isMainThread) {
  const waiting = new Map();
  channel.onmessage = ({ data: { id, reply } }) => {
    if (reply !== undefined) waiting.get(id)?.(reply);
  };
  process.on('message', async ({ id, order, to, thread, workers = 0 }) => {
    const replies = [];
    const all = new Promise((resolve) => {
      if (workers === 0) resolve();
      waiting.set(id, (reply) => {
        if (replies.push(reply) === workers) resolve();
      });
    });
    if (order === 'advance') advance(to);
    const own = order === 'read' ? { main: await read(), ...processWide() } : {};
    channel.postMessage({ id, order, to, thread });
    await all;
    waiting.delete(id);
    process.send({ id, ...own, workers: replies });
  });
} else channel.onmessage = ({ data }) => void (data.order && serve(data));
