/** What the owner of a topic sends its followers: events, which are kept, and what is told beside them. */
import type { BookFault } from '../../errors.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { EventId } from '../../streams/event-ids.js';
import type { FeedStatus, ItemSource } from '../../streams/feed/feed-source.js';
import type { Loss } from '../../streams/history.js';

/** An event as every server shows it. */
export interface SharedItem {
  readonly kind: 'item';
  readonly id: EventId;
  /** The event before it; null: there was none. */
  readonly previous: EventId | null;
  readonly item: StreamItem;
  /** `receivedAt`: when the owner got it, by the clock of the bus. */
  readonly source: Pick<ItemSource, 'via' | 'timed' | 'receivedAt'>;
}

export type FeedMessage =
  | SharedItem
  | { readonly kind: 'status'; readonly status: FeedStatus }
  | { readonly kind: 'loss'; readonly loss: Loss }
  | { readonly kind: 'fault'; readonly fault: BookFault }
  /** The owner's latest event, told once its topic has gone quiet: the last message of all may have got lost. */
  | { readonly kind: 'top'; readonly id: EventId }
  /** The owner is about to end: who follows may take the topic over. */
  | { readonly kind: 'handover' };

export const writeMessage = (message: FeedMessage): string => JSON.stringify(message);

const KINDS: ReadonlySet<unknown> = new Set(['item', 'status', 'loss', 'fault', 'top', 'handover']);

const isMessage = (value: unknown): value is FeedMessage =>
  typeof value === 'object' && value !== null && 'kind' in value && KINDS.has(value.kind);

/** null: not of this version's servers, which alone write here. */
export const readMessage = (text: string): FeedMessage | null => {
  try {
    const value: unknown = JSON.parse(text);
    return isMessage(value) ? value : null;
  } catch {
    return null;
  }
};
