import { expect, test } from 'vitest';
import type { Status } from '../../../../web/client/types.js';
import { clusterNote } from '../../../../web/dashboard/state/cluster.js';

const server = (id: string, owned: number, followed: number) => ({ id, since: 1, owned, followed });
const clusterOf = (servers: readonly ReturnType<typeof server>[]): Status['cluster'] => ({
  ...{ server_id: 'a', state: 'ok', servers, owned: [], followed: [] },
});

test('each server of a cluster is named with the streams that it holds and follows', () => {
  expect(clusterNote(null)).toBe('');
  expect(clusterNote(clusterOf([server('a', 3, 1)]))).toBe(
    'cluster ok, 1 server: a (this one) holds 3, follows 1',
  );
  expect(clusterNote(clusterOf([server('a', 3, 1), server('b', 0, 4)]))).toBe(
    'cluster ok, 2 servers: a (this one) holds 3, follows 1; b holds 0, follows 4',
  );
});

test('of very many the rest are counted', () => {
  const servers = Array.from({ length: 30 }, (_, index) => server(`s${index}`, 1, 1));
  expect(clusterNote(clusterOf(servers))).toMatch(/^cluster ok, 30 servers: .*; 22 more$/);
});
