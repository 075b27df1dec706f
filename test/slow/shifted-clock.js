// Preloaded with `node --import` into the main thread and all workers: the wall clock is ahead by the milliseconds that
// stand in the file SHIFTED_CLOCK names, which may change at any time. Monotonic clocks and timers stay as they are.
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

const LOOK_MS = 20;
const RealDate = Date;
const realNow = Date.now;
let shift = 0;
let lookedAt = -Infinity;

const shiftedNow = () => {
  const elapsed = performance.now();
  if (elapsed - lookedAt >= LOOK_MS) {
    lookedAt = elapsed;
    shift = Number(readFileSync(process.env.SHIFTED_CLOCK, 'utf8')) || 0;
  }
  return realNow() + shift;
};

globalThis.Date = class Date extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(shiftedNow());
    else super(...parts);
  }

  static now() {
    return shiftedNow();
  }
};
