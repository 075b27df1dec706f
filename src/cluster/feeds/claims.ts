/** Asks the bus whose a topic is: once at a time, and not more often than it helps. */
import type { Millis } from '../../schemas/common.js';
import type { Claim, Overrule } from '../bus.js';
import type { SharedFeedParts } from './feed-parts.js';

const EVERY_MS: Millis = 250;

interface ClaimsHooks {
  /** What the bus says; nothing else is asked until this has settled. */
  onAnswer(claim: Claim, overrule?: Overrule): Promise<void>;
  /** The bus has not answered for so long, since it was first asked. */
  onFailure(failingFor: Millis): void;
  readonly isFollowing: () => boolean;
}

export class Claims {
  readonly #parts: SharedFeedParts;
  readonly #hooks: ClaimsHooks;
  #isUnderWay = false;
  #askedAt: Millis = -Infinity;
  /** When the first of the claims was made that have failed since; null: the latest was answered. */
  #failingSince: Millis | null = null;
  /** The latest fence that an answer named, and the latest that the bus announced as this server's. */
  #answered = 0;
  #announced = 0;
  /** The subscription has begun: what a claim that was under way is told may be older than what was missed. */
  #isDueAgain = false;

  constructor(parts: SharedFeedParts, hooks: ClaimsHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** The bus may have granted what it was asked for, though its answer did not come: the topic would be nobody's feed. */
  get isInDoubt(): boolean {
    return this.#failingSince !== null || this.#announced > this.#answered;
  }

  /** The bus says that this server has the topic. */
  announced(fence: number): void {
    this.#announced = fence;
    this.#parts.unsettled();
  }

  /** In the place of another where that one is dead or offers the topic. Nothing where it was asked just now. */
  async ask(overrule?: Overrule): Promise<void> {
    const { bus, key, monotonic } = this.#parts;
    if (this.#isUnderWay || monotonic() - this.#askedAt < EVERY_MS) return;
    this.#isUnderWay = true;
    this.#askedAt = monotonic();
    const announced = this.#announced;
    try {
      const claim = await bus.claim(key, overrule);
      // Where the bus was emptied, fences may begin below what it announced before.
      this.#answered = Math.max(announced, claim.granted ? claim.fence : claim.owner.fence);
      await this.#hooks.onAnswer(claim, overrule);
      this.#failingSince = null;
    } catch {
      this.#parts.unsettled();
      this.#failingSince ??= this.#askedAt;
      this.#hooks.onFailure(monotonic() - this.#failingSince);
    } finally {
      this.#isUnderWay = false;
      this.#askAgain();
    }
  }

  /** However short ago it asked: what it knows is over. */
  askAtOnce(overrule?: Overrule): void {
    this.#askedAt = -Infinity;
    this.#failingSince = null;
    void this.ask(overrule);
  }

  /** What the bus sends is heard from now on, and again: what the owner told meanwhile was missed. */
  joined(): void {
    this.#isDueAgain = true;
    if (!this.#isUnderWay) this.#askAgain();
  }

  #askAgain(): void {
    const isDue = this.#isDueAgain && this.#hooks.isFollowing();
    this.#isDueAgain = false;
    if (isDue) this.askAtOnce();
  }
}
