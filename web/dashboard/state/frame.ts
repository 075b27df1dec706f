/**
 * What comes in is put on the page ten times a second: more is not seen, and each time costs a layout. Where much changes at
 * once, as with a long list of lively markets, it is five times: nobody reads them all, and the cost is halved. A value that a
 * newer one replaces before that is never drawn, and while the page is hidden nothing is: what waits is at most one change a
 * key. By a timer, not by requestAnimationFrame: what the chart asks for in turn then comes in the same frame, not in one more.
 */
import { batch, type ReadonlySignal } from '@preact/signals';

const waiting = new Map<string, () => void>();
let asked = false;
const BETWEEN_MS = 100;
const BETWEEN_MANY_MS = 200;
const MANY = 20;
let drawnAt = -BETWEEN_MANY_MS;
let between = BETWEEN_MS;

const draw = (): void => {
  asked = false;
  drawnAt = performance.now();
  if (document.visibilityState === 'hidden') return;
  const changes = [...waiting.values()];
  waiting.clear();
  between = changes.length > MANY ? BETWEEN_MANY_MS : BETWEEN_MS;
  batch(() => {
    for (const change of changes) change();
  });
};

const ask = (): void => {
  if (asked || waiting.size === 0 || document.visibilityState === 'hidden') return;
  asked = true;
  setTimeout(draw, drawnAt + between - performance.now());
};

/** What reads these is drawn, or run, again when they change, though it needs none of their values. */
export const dependOn = (...signals: readonly ReadonlySignal<unknown>[]): void =>
  signals.forEach((signal) => signal.value);

/** Runs `change` in the next frame, in place of what waits under the same key. */
export const inNextFrame = (key: string, change: () => void): void => {
  waiting.set(key, change);
  ask();
};

document.addEventListener('visibilitychange', ask);
