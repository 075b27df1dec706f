/** Callers who want the same thing at the same time share one flight: one upstream call serves everyone. */

interface Flight<T> {
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  /** Who still waits for it. */
  callers: number;
}

export interface SingleFlight<T> {
  /**
   * Joins the flight of `key`, or starts one by calling `start`. `signal` ends only this caller's wait (rejecting with
   * its reason); the signal given to `start` aborts once every caller has left, after which a newcomer starts afresh.
   */
  run(key: string, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Flights in the air. */
  readonly size: number;
}

/** One map of flights; its size is bounded by the callers' own number. */
export const createSingleFlight = <T>(): SingleFlight<T> => {
  const flights = new Map<string, Flight<T>>();

  const takeOff = (key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> => {
    const controller = new AbortController();
    // An async wrapper, so that a synchronous throw is a rejection like any other and clears the key too.
    const promise = (async () => start(controller.signal))();
    const flight: Flight<T> = { promise, controller, callers: 0 };
    const land = (): void => {
      // An abandoned flight may land after its successor took off.
      if (flights.get(key) === flight) flights.delete(key);
    };
    promise.then(land, land);
    flights.set(key, flight);
    return flight;
  };

  const leave = (key: string, flight: Flight<T>, reason: unknown): void => {
    flight.callers -= 1;
    if (flight.callers > 0) return;
    if (flights.get(key) === flight) flights.delete(key);
    flight.controller.abort(reason);
  };

  return {
    async run(key, start, signal) {
      signal?.throwIfAborted();
      const flight = flights.get(key) ?? takeOff(key, start);
      flight.callers += 1;
      if (signal === undefined) return flight.promise;
      return new Promise<T>((resolve, reject) => {
        const onAbort = (): void => {
          leave(key, flight, signal.reason);
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the caller's own reason
          reject(signal.reason);
        };
        signal.addEventListener('abort', onAbort, { once: true });
        void flight.promise.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject);
      });
    },
    get size() {
      return flights.size;
    },
  };
};
