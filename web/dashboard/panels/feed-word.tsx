/** What is said of a feed beside its numbers, and how old they are. */
import { useComputed, type ReadonlySignal } from '@preact/signals';
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

/** From here on a new event changes what is shown at once. */
const SILENT_MS = 1000;

/** Written again twice a second and after a silence, not with each event of a lively feed; nothing else is drawn with it. */
export const Age = ({ timestamp }: { readonly timestamp: ReadonlySignal<number | undefined> }) => {
  const isSilent = useComputed(() => {
    dependOn(tick);
    return timestamp.value === undefined || ageOf(timestamp.value) >= SILENT_MS;
  });
  const age = useComputed(() => {
    dependOn(tick, isSilent);
    const at = timestamp.peek();
    return formatAge(at === undefined ? null : ageOf(at));
  });
  return <span class="age">{age}</span>;
};
