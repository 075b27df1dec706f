/**
 * Short messages to the other servers. They may be lost (nobody listens, the way is broken) and may come twice: whoever
 * relies on one must find out by itself, later, what it was about.
 */
export interface Notices {
  /** Tells the other servers, and may tell this one too. Never throws. */
  notify(topic: string, text: string): void;
  /** `heard` is called with each message of the topic until what is returned is called. */
  on(topic: string, heard: (text: string) => void): () => void;
  close(): Promise<void>;
}

/** Longer ones are not sent: PostgreSQL takes less than 8,000 bytes. */
export const MAX_NOTICE_LENGTH = 4_000;

export interface Listeners {
  readonly on: Notices['on'];
  readonly tell: (topic: string, text: string) => void;
}

/** Who listens to what: the part that all drivers share. */
export const createListeners = (): Listeners => {
  const byTopic = new Map<string, Set<(text: string) => void>>();
  return {
    on(topic, heard) {
      const listeners = byTopic.get(topic) ?? new Set();
      byTopic.set(topic, listeners.add(heard));
      return () => void listeners.delete(heard);
    },
    tell(topic, text) {
      for (const heard of byTopic.get(topic) ?? []) heard(text);
    },
  };
};

/** Over several ways at once; none: nobody is told. */
export const joinNotices = (ways: readonly Notices[]): Notices => ({
  notify(topic, text) {
    for (const way of ways) way.notify(topic, text);
  },
  on(topic, heard) {
    const ends = ways.map((way) => way.on(topic, heard));
    return () => {
      for (const end of ends) end();
    };
  },
  async close() {
    await Promise.all(ways.map((way) => way.close()));
  },
});
