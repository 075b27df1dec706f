/**
 * Whether the updates of one order book follow each other without a hole. Pure: what a venue's messages say of
 * themselves comes in, a verdict goes out, before CCXT applies the message.
 */

/** Some venues count beyond what a JavaScript number holds. */
export type ChangeNumber = number | bigint;

/** The sequence numbers of one message of a feed, as the venue counts. */
export interface BookSequence {
  /** It holds a whole book: what was known before it is void. */
  readonly reset: boolean;
  /** The number of the message before it. */
  readonly previous?: ChangeNumber | undefined;
  /** The first and the last change in it; the same where each message has one number. */
  readonly first?: ChangeNumber | undefined;
  readonly last?: ChangeNumber | undefined;
}

/**
 * `apply`: it follows. `skip`: it changes nothing, since what is known is as new or nothing is known that it could
 * change. `restart`: an update is missing, but no book was shown yet, so that counting begins anew with this message.
 * `lost`: the book that is held is wrong from here on.
 */
export type BookVerdict = 'apply' | 'skip' | 'restart' | 'lost';

export interface BookChainOptions {
  /** The feed begins with a whole book; updates before it change nothing. */
  readonly startsWhole: boolean;
  /** Messages that have to follow each other in a row before their numbers are trusted; 0: they are. */
  readonly proof: number;
}

/** Nothing lies between `known` and `first`. */
const follows = (first: ChangeNumber, known: ChangeNumber): boolean =>
  first <= (typeof known === 'bigint' ? known + 1n : known + 1);

export class BookChain {
  readonly startsWhole: boolean;
  readonly #proof: number;
  #last: ChangeNumber | undefined;
  /** The first change since counting began: what a snapshot must reach to join on. */
  #start: ChangeNumber | undefined;
  /** The feed has given a whole book. */
  #whole = false;
  /** No update since the whole book was newer than it: older ones may still follow. */
  #bridging = false;
  #agreed = 0;
  /** The latest message that was applied, to tell a repetition from another one of the same number. */
  #latest: unknown;

  constructor({ startsWhole, proof }: BookChainOptions) {
    this.startsWhole = startsWhole;
    this.#proof = proof;
  }

  /** Its numbers have followed each other often enough to be believed when they don't. */
  get trusted(): boolean {
    return this.#agreed >= this.#proof;
  }

  /** Whether a snapshot with this number and the updates that came so far make a whole book. */
  joins(snapshot: ChangeNumber): boolean {
    return this.#start === undefined || follows(this.#start, snapshot);
  }

  /** `isShown`: CCXT holds a book that was made of what came so far. */
  judge(sequence: BookSequence, message: unknown, { isShown }: { readonly isShown: boolean }): BookVerdict {
    if (sequence.reset) {
      this.#whole = true;
      this.#bridging = true;
      this.#last = sequence.last;
      this.#latest = message;
      return 'apply';
    }
    if (this.startsWhole && !this.#whole) return 'skip';
    const verdict = this.#compare(sequence, message);
    if (verdict === 'skip') return verdict;
    if (verdict === 'lost' && !isShown && !this.startsWhole) {
      this.#start = sequence.first;
      this.#take(sequence, message);
      return 'restart';
    }
    // Numbers that never followed each other are not what we take them for.
    if (verdict === 'lost' && this.trusted) return 'lost';
    if (verdict === 'lost') this.#agreed = 0;
    this.#take(sequence, message);
    return 'apply';
  }

  #take({ first, last }: BookSequence, message: unknown): void {
    this.#start ??= first;
    this.#last = last;
    this.#latest = message;
    this.#bridging = false;
  }

  #compare({ previous, first, last }: BookSequence, message: unknown): 'apply' | 'skip' | 'lost' {
    const known = this.#last;
    // A message without its number can't be judged; the next one that has one begins anew.
    if (known === undefined || last === undefined) return 'apply';
    if (
      previous !== undefined
        ? previous === known
        : first !== undefined && last > known && follows(first, known)
    ) {
      this.#agreed += 1;
      return 'apply';
    }
    if (this.#bridging && last <= known) return 'skip';
    // Between a whole book and the first update after it, the update's range may span the book's number.
    if (this.#bridging && first !== undefined && follows(first, known)) return 'apply';
    if (last === known && JSON.stringify(message) === JSON.stringify(this.#latest)) return 'skip';
    return previous === undefined && first === undefined && last > known ? 'apply' : 'lost';
  }
}
