/** What is said of servers that share their feeds. */
import type { Status } from '../../client/client.js';

/** More of them than fit are counted. */
const SHOWN = 8;

/** '' where the server acts alone. */
export const clusterNote = (cluster: Status['cluster']): string => {
  if (cluster === null) return '';
  const { server_id, state, servers } = cluster;
  const said = servers.slice(0, SHOWN).map(({ id, owned, followed }) => {
    const who = id === server_id ? `${id} (this one)` : id;
    return `${who} holds ${owned}, follows ${followed}`;
  });
  const more = servers.length > SHOWN ? [`${servers.length - SHOWN} more`] : [];
  return `cluster ${state}, ${servers.length} ${servers.length === 1 ? 'server' : 'servers'}: ${[...said, ...more].join('; ')}`;
};
