/** What the topics of a server are checked against: read once for all of them, since they may be thousands. */
import type { Millis } from '../../schemas/common.js';
import type { Bus } from '../bus.js';
import type { Presence } from './bus-presence.js';

export interface Moment extends Presence {
  /** By the monotonic clock. */
  readonly at: Millis;
  /** Leases of this server that began; undefined: the bus has none. */
  readonly leases: number | undefined;
  /** As the bus has them. */
  readonly leaseMs: Bus['leaseMs'];
  readonly silentFor: Bus['silentFor'];
  readonly survivors: Bus['survivors'];
}

/** The answers of `ask`, each asked for once. */
const asked = <T>(ask: (server: string) => T): ((server: string) => T) => {
  const answers = new Map<string, { readonly answer: T }>();
  return (server) => {
    const known = answers.get(server) ?? { answer: ask(server) };
    answers.set(server, known);
    return known.answer;
  };
};

export const momentOf = (bus: Bus, as: Presence & Pick<Moment, 'at'>): Moment => ({
  ...as,
  leases: bus.stats.leases,
  leaseMs: bus.leaseMs,
  silentFor: asked((server) => bus.silentFor(server)),
  survivors: asked((server) => bus.survivors(server)),
});
