/** The kinds of store errors that are handled differently. */

export type StoreFault =
  /** The disk is full, or STORE_MAX_GB is reached. */
  | 'full'
  | 'corrupt'
  /** Another process writes. */
  | 'busy'
  /** Written by a newer version of this program, or by another process that owns it: it is only read. */
  | 'read_only'
  /** Simulated and real data would share a store. */
  | 'sandbox'
  /** Missing or not reachable. */
  | 'unavailable';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly fault: StoreFault,
    message: string,
  ) {
    super(message);
  }
}
