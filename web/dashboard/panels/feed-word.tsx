/** What is said of a feed beside its numbers, and how old they are. */
import type { Feed } from '../state/feeds.js';
import { ageOf } from '../state/feeds.js';
import { formatAge } from '../state/format.js';
import { dependOn } from '../state/frame.js';
import { tick } from '../state/visibility.js';

const ICONS = { '': '', stale: '■ ', reconnecting: '… ', polling: '○ ', unavailable: '✕ ' } as const;

export const FeedWord = ({ feed }: { readonly feed: Feed<unknown> }) => {
  const word = feed.word.value;
  if (word === '') return null;
  return (
    <span class={`word ${word}`} title={feed.reason.value ?? undefined}>
      <span aria-hidden="true">{ICONS[word]}</span>
      {word}
    </span>
  );
};

/** Drawn again twice a second, and nothing else with it. */
export const Age = ({ timestamp }: { readonly timestamp: number | undefined }) => {
  dependOn(tick);
  return <span class="age">{formatAge(timestamp === undefined ? null : ageOf(timestamp))}</span>;
};
