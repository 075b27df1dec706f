/** The kinds of store errors that are handled differently. */

export type StoreFault =
  /** The disk is full, or STORE_MAX_GB is reached. */
  | 'full'
  | 'corrupt'
  /** Another one writes, or the call took too long: the same call may succeed later. */
  | 'busy'
  /** Of a newer version of this program, owned by another process, or a database that refuses writes: it is only read. */
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
