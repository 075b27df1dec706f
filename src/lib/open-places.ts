/** What may be open at once over all processes of a server: places that are taken, and given back. */

export interface WantedPlace {
  /** What is counted together. */
  readonly of: string;
  /** It counts once, however often it is open; undefined: each place counts. */
  readonly item?: string | undefined;
  /** Places that there are; Infinity: it is only counted. */
  readonly most: number;
}

interface TakenPlaces {
  /** Which of those wanted there was no place for, so that none is taken; null: all are. Never rejects. */
  readonly missing: Promise<number | null>;
  /** Idempotent; may be called at any time. */
  readonly giveBack: () => void;
}

/** Takes all of them or none. */
export type TakePlaces = (wanted: readonly WantedPlace[]) => TakenPlaces;
