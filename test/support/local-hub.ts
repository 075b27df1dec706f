/** A hub whose feeds this process holds, from one set of options. */
import { createLocalFeeds, type LocalFeedsOptions } from '../../src/streams/feed/local-feeds.js';
import type { HubOptions } from '../../src/streams/hub-api.js';
import { createHub } from '../../src/streams/hub.js';

export type LocalHubOptions = Omit<HubOptions, 'feeds' | 'exchanges' | 'settings'> &
  Omit<LocalFeedsOptions, 'idleTimeoutMs' | 'exchanges' | 'serverId'> & {
    readonly exchanges: HubOptions['exchanges'] & LocalFeedsOptions['exchanges'];
    readonly settings: HubOptions['settings'] & Pick<LocalFeedsOptions, 'idleTimeoutMs'>;
  };

export const createLocalHub = (options: LocalHubOptions): ReturnType<typeof createHub> => {
  const { idleTimeoutMs } = options.settings;
  return createHub({ ...options, feeds: createLocalFeeds({ ...options, idleTimeoutMs, serverId: 'test' }) });
};
