/** What a process is told by the primary that starts it, in a variable of its environment. */
import { z } from 'zod';
import { FEEDER } from './feeder-protocol.js';

/** No setting: the primary sets it for its own children. */
const VARIABLE = 'MCDS_PROCESS';

const place = z.object({
  /** `feeder`, or the number of a serving process, from 1. */
  name: z.string().min(1),
  /** Of the sockets. */
  folder: z.string().min(1),
  /** Of the server. */
  serverId: z.string().min(1),
});

export type Place = z.output<typeof place>;

/** null: this process was not started by a primary. */
export const placeOf = (env: Readonly<Record<string, string | undefined>>): Place | null => {
  const text = env[VARIABLE];
  return text === undefined ? null : place.parse(JSON.parse(text));
};

export const withPlace = (own: Place): Record<string, string> => ({ [VARIABLE]: JSON.stringify(own) });

export const isFeeder = ({ name }: Place): boolean => name === FEEDER;

/** Letters of a server's id that are left for the number of the process. */
const MAX_ID_LENGTH = 32;

/** The name of a serving process among those of its server. */
export const idOfProcess = ({ name, serverId }: Pick<Place, 'name' | 'serverId'>): string => {
  const suffix = `_${name}`;
  return `${serverId.slice(0, MAX_ID_LENGTH - suffix.length)}${suffix}`;
};
