/** The status of a shared feed that this server's clients were told last, and what its owner tells of it. */
import type { FeedStatus } from '../../streams/feed/feed-source.js';
import { readMessage } from './messages.js';

export class ToldStatus {
  readonly #tell: (status: FeedStatus) => void;
  #current: FeedStatus;
  /** What the bus last sent of the owner's; null: nothing since it is heard, or since this server was the owner. */
  #heard: FeedStatus | null = null;

  constructor(first: FeedStatus, tell: (status: FeedStatus) => void) {
    this.#current = first;
    this.#tell = tell;
  }

  get current(): FeedStatus {
    return this.#current;
  }

  /** Known without a word to anybody: clients have not been told of another one. */
  replace(status: FeedStatus): void {
    this.#current = status;
  }

  show(status: FeedStatus): void {
    this.#current = status;
    this.#tell(status);
  }

  /** The owner's. */
  heard(status: FeedStatus): void {
    this.#heard = status;
    this.#showOnce(status);
  }

  /** The owner's, before it is known that this server follows. */
  overheard(status: FeedStatus): void {
    this.#heard = status;
  }

  /** What the bus keeps of the owner's. What was told after this answer may have come before it. */
  answered(text: string | null): void {
    const message = text === null ? null : readMessage(text);
    const answered = message?.kind === 'status' ? message.status : null;
    const isOld = answered === null || (this.#heard !== null && this.#heard.at >= answered.at);
    const status = isOld ? this.#heard : answered;
    if (status !== null) this.#showOnce(status);
  }

  /** What was heard is no owner's any more, or not all was. */
  forgetHeard(): void {
    this.#heard = null;
  }

  /** An owner that takes over without a break tells what is known already. */
  #showOnce(status: FeedStatus): void {
    const { state, detail, at } = this.#current;
    if (status.state !== state || status.detail !== detail || status.at !== at) this.show(status);
  }
}
