/** State of the store together with its free space. Every change is logged. */
import type { Millis } from '../schemas/common.js';
import type { Log } from '../log/log.js';
import type { StorageSpace } from './storage-space.js';
import type { StoreHandle, StoreStatus } from './store-status.js';

export interface StoreHealthDeps {
  readonly handle: StoreHandle;
  readonly space: Pick<StorageSpace, 'reason'>;
  readonly log: Log;
  readonly now: () => Millis;
}

export interface StoreHealth {
  status(): StoreStatus;
  /** Called at intervals. A store that is not open is logged by the code that opens it. */
  tell(): void;
}

export const createStoreHealth = ({ handle, space, log, now }: StoreHealthDeps): StoreHealth => {
  /** Since when there has been no space. */
  let fullSince: Millis | null = null;
  let told: StoreStatus['state'] = 'ok';

  const status = (): StoreStatus => {
    const own = handle.status();
    const full = space.reason();
    if (full === null || own.state !== 'ok') {
      fullSince = null;
      return own;
    }
    fullSince ??= now();
    return { ...own, state: 'degraded', detail: full, since: fullSince };
  };

  return {
    status,
    tell() {
      if (handle.store() === null) return;
      const { state, detail } = status();
      if (state === told) return;
      told = state;
      if (state === 'ok') log.info({}, 'the candle store is well again');
      else log.warn({ reason: detail }, 'the candle store does not keep what it should');
    },
  };
};
