/** What the topics of a server are checked against: read once for all of them, since they may be thousands, ten times a second. */
import type { Millis } from '../../schemas/common.js';
import type { Bus } from '../bus.js';

export interface Moment {
  /** By the monotonic clock. */
  readonly at: Millis;
  readonly isIn: boolean;
  /** The bus is back for good. */
  readonly mayReturn: boolean;
  /** Leases of this server that began; undefined: the bus has none. */
  readonly leases: number | undefined;
  /** As the bus has it. */
  readonly silentFor: (server: string) => Millis;
}

export const momentOf = (
  bus: Bus,
  { at, mayReturn }: { readonly at: Millis; readonly mayReturn: boolean },
): Moment => {
  const silences = new Map<string, Millis>();
  return {
    ...{ at, mayReturn, isIn: bus.isIn, leases: bus.stats.leases },
    silentFor(server) {
      const known = silences.get(server);
      if (known !== undefined) return known;
      const silence = bus.silentFor(server);
      silences.set(server, silence);
      return silence;
    },
  };
};
