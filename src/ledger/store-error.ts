/** What can go wrong with a store, in the few kinds that are treated differently. */

export type StoreFault =
  /** The disk, or what may be used of it, is full. */
  | 'full'
  | 'corrupt'
  /** Another process writes. */
  | 'busy'
  /** Written by a newer version of this program, or by another process that owns it: it is only read. */
  | 'read_only'
  /** Simulated and real data would meet. */
  | 'sandbox'
  /** Not there, or not reachable. */
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
