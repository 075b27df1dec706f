/**
 * Tells the other processes of a server what is spent of quotas, so that a quota holds over all before the store knows: it
 * is told only now and then (metering.ts).
 */
import type { Millis } from '../schemas/common.js';
import type { Notices } from './notify/notices.js';
import type { Units, UnitsChange } from './units.js';

const TOPIC = 'units';
/** Changes are told so long after the first of them. */
const TOLD_AFTER_MS: Millis = 5;

export interface UnitSharing {
  /** For `createQuotas`. */
  readonly onUnits: (change: UnitsChange) => void;
  /** Takes over what the others say from now on. */
  listen(units: Units): void;
  close(): void;
}

export const shareUnits = (notices: Notices): UnitSharing => {
  /** Not told yet, by kind and consumer. */
  const changes = new Map<string, UnitsChange>();
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    timer = undefined;
    notices.notify(TOPIC, JSON.stringify([...changes.values()]));
    changes.clear();
  };
  let stop = (): void => undefined;
  return {
    onUnits(change) {
      const key = `${change.kind} ${change.consumer}`;
      changes.set(key, { ...change, units: change.units + (changes.get(key)?.units ?? 0) });
      timer ??= setTimeout(tell, TOLD_AFTER_MS).unref();
    },
    listen(units) {
      stop = notices.on(TOPIC, (text) => {
        // Of another process of this very server.
        for (const change of JSON.parse(text) as UnitsChange[]) units.changedElsewhere(change);
      });
    },
    close() {
      clearTimeout(timer);
      stop();
    },
  };
};
