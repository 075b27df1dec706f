/** How the primary lets the processes of a server use windows of clients' limits: its side is processes/window-leases.ts. */

export interface WindowName {
  readonly key: string;
  /** In milliseconds. */
  readonly windowMs: number;
}

/** What a process has used of a window since it last told. */
export interface UsedOfWindow {
  readonly hits: number;
  /** Of these, what had been left to it. */
  readonly leased: number;
}

export interface LeaseQuestion extends WindowName, UsedOfWindow {
  /** The limit. */
  readonly requests: number;
  /** The process has begun it anew: what had been left to it before is not any more. */
  readonly isNew: boolean;
  /** Hits that wait for the answer. */
  readonly wanted: number;
}

export interface LeaseAnswer {
  /** Hits of all processes that were told. */
  readonly total: number;
  /** Milliseconds until the window ends. */
  readonly leftMs: number;
  /** How many of the hits that wait are within the limit. */
  readonly granted: number;
  /** Further ones that need not be asked about. */
  readonly ahead: number;
}

export interface ReturnedLease extends UsedOfWindow {
  /** What had been left to the process, and is not any more. */
  readonly returned: number;
}
