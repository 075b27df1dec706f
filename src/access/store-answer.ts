/** What the store of keys answers, for those who ask it for a caller. */
import { StoreError } from '../ledger/store-error.js';
import { unavailable } from './admit.js';

/** Rejects with `auth_unavailable` where the store fails, whatever it says. */
export const storeAnswer = async <T>(ask: () => Promise<T>): Promise<T> => {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof StoreError) throw unavailable();
    throw thrown;
  }
};
