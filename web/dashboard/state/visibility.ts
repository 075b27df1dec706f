/** Whether somebody looks at the page: feeds are held for a while after that ends, so that a short look elsewhere costs nothing. */
import { signal } from '@preact/signals';

const LINGER_MS = 30_000;

/** false: hidden for so long that no feed is wanted. */
export const isWanted = signal(true);
/** Counts up twice a second while the page is seen: what shows an age reads it. */
export const tick = signal(0);

const TICK_MS = 500;
let timer: ReturnType<typeof setTimeout> | undefined;

export const watchVisibility = (): void => {
  const change = (): void => {
    clearTimeout(timer);
    if (document.visibilityState === 'visible') {
      isWanted.value = true;
      tick.value += 1;
    } else timer = setTimeout(() => (isWanted.value = false), LINGER_MS);
  };
  document.addEventListener('visibilitychange', change);
  setInterval(() => {
    if (document.visibilityState === 'visible') tick.value += 1;
  }, TICK_MS);
  change();
};
