/**
 * What comes in is put on the page in one frame of ten a second: more of them are not seen, and each costs a layout. A value that a newer one replaces before the frame is never drawn, and
 * while the page is hidden nothing is: what waits is at most one change a key.
 */
import { batch, type ReadonlySignal } from '@preact/signals';

const waiting = new Map<string, () => void>();
let asked = false;
const BETWEEN_MS = 100;
let drawnAt = -BETWEEN_MS;

const draw = (): void => {
  asked = false;
  drawnAt = performance.now();
  if (document.visibilityState === 'hidden') return;
  const changes = [...waiting.values()];
  waiting.clear();
  batch(() => {
    for (const change of changes) change();
  });
};

const ask = (): void => {
  if (asked || waiting.size === 0 || document.visibilityState === 'hidden') return;
  asked = true;
  setTimeout(() => requestAnimationFrame(draw), drawnAt + BETWEEN_MS - performance.now());
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
