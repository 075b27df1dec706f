/**
 * Tells the other processes of a server what is spent of quotas, so that a quota holds over all before the store knows: it
 * is told only now and then (metering.ts).
 */
import type { Millis } from '../schemas/common.js';
import type { Notices } from './notify/notices.js';
import type { Units, UnitsChange } from './units.js';

const TOPIC = 'units';
/** How often changes are told. */
const ROUND_MS: Millis = 5;

export interface UnitSharing {
  /** For `createQuotas`. */
  readonly onUnits: (change: UnitsChange) => void;
  /** Takes over what the others say from now on. */
  listen(units: Units): void;
  close(): void;
}

export const shareUnits = (notices: Notices): UnitSharing => {
  /** Since the last round, by kind and consumer. */
  const changes = new Map<string, UnitsChange>();
  const timer = setInterval(() => {
    if (changes.size === 0) return;
    notices.notify(TOPIC, JSON.stringify([...changes.values()]));
    changes.clear();
  }, ROUND_MS).unref();
  let stop = (): void => undefined;
  return {
    onUnits(change) {
      const key = `${change.kind} ${change.consumer}`;
      changes.set(key, { ...change, units: change.units + (changes.get(key)?.units ?? 0) });
    },
    listen(units) {
      stop = notices.on(TOPIC, (text) => {
        // Of another process of this very server.
        for (const change of JSON.parse(text) as UnitsChange[]) units.changedElsewhere(change);
      });
    },
    close() {
      clearInterval(timer);
      stop();
    },
  };
};
