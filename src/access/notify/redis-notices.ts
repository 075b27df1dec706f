/** Notices over Redis, where it is enabled. */
import { createRedisMessages } from '../../cache/redis-messages.js';
import { createListeners, MAX_NOTICE_LENGTH, type Notices } from './notices.js';

/** `prefix` keeps programs apart that share a Redis; `joined`: the way is there (again), and may have lost some. */
export const createRedisNotices = ({
  url,
  prefix,
  topics,
  joined,
}: {
  readonly url: string;
  readonly prefix: string;
  readonly topics: readonly string[];
  readonly joined: () => void;
}): Notices => {
  const { on, tell } = createListeners();
  const channelOf = (topic: string): string => `${prefix}:${topic}`;
  const messages = createRedisMessages({
    url,
    joined,
    channels: topics.map(channelOf),
    heard: (channel, text) => tell(channel.slice(prefix.length + 1), text),
  });
  return {
    on,
    notify(topic, text) {
      if (text.length <= MAX_NOTICE_LENGTH) messages.publish(channelOf(topic), text);
    },
    close: () => messages.close(),
  };
};
