import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that start processes come first: they wait the longest. */
const ORDER = ['e2e', 'own-process', 'in-process'];

/** A file that begins late and waits long is what all others have to wait for. */
const LONGEST_FIRST = [
  ...['e2e/faults', 'e2e/processes', 'e2e/processes-redis', 'e2e/drain', 'e2e/backfill'],
  ...['e2e/dashboard', 'e2e/access-processes', 'e2e/outage', 'e2e/server', 'e2e/backfill-venues'],
  ...['e2e/backfill-kills', 'e2e/readme', 'e2e/access-trial', 'e2e/venue-failure', 'e2e/browser'],
  ...['e2e/client', 'api/cluster/shared-budget', 'api/feeds/order-books', 'api/feeds/watch'],
  ...['api/feeds/silent-feeds', 'api/cluster/bus', 'api/feeds/feeds', 'api/cache/redis-faults'],
  ...['api/cli/backfill', 'api/access/socket-auth', 'api/access/revocation', 'api/feeds/polled-feeds'],
  ...['api/ledger/history', 'api/exchanges/traps', 'api/cli/store', 'api/feeds/late-turns'],
  ...['api/web/client-faults', 'api/ledger/backfill-shared', 'api/graphql/slow-readers'],
  ...['e2e/stalled-readers', 'e2e/shared-budget', 'e2e/workers', 'e2e/redis-trouble'],
  ...['api/cluster/shared-budget-timing', 'e2e/killed-owners', 'e2e/abuse', 'e2e/hostile-budget'],
  ...['e2e/package'],
].map((path) => `/test/${path}.test.ts`);

const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = LONGEST_FIRST.findIndex((path) => moduleId.endsWith(path));
  return place === -1 ? LONGEST_FIRST.length : place;
};

const isLong = (file: TestSpecification): boolean => placeOf(file) < LONGEST_FIRST.length;
const isUnit = ({ moduleId }: TestSpecification): boolean => moduleId.includes('/test/unit/');
const isShared = ({ project }: TestSpecification): boolean => project.name === 'in-process';

/** Part of the order that has all long files: one that begins later ends after all others. */
const LONG_WITHIN = 0.6;

/**
 * Mixes long files, which mostly wait, with short ones, which mostly compute, so that the CPU is used evenly: long ones are
 * spread over the first part of the order, the others over all of it.
 */
function spread(files: readonly TestSpecification[]): TestSpecification[] {
  const kinds = [
    { files: files.filter(isLong), within: LONG_WITHIN },
    { files: files.filter((file) => !isLong(file) && !isUnit(file)), within: 1 },
    { files: files.filter((file) => !isLong(file) && isUnit(file)), within: 1 },
  ];
  const placed = kinds.flatMap(({ files, within }) =>
    files.map((file, index) => ({ file, place: (index / files.length) * within })),
  );
  return placed.sort((a, b) => a.place - b.place).map(({ file }) => file);
}

/** The projects by ORDER; within each the longest files, then Vitest's own order (failed, then long, then large files first). */
export class ProjectOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ project }: TestSpecification): number => ORDER.indexOf(project.name);
    const group = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    sorted.sort((a, b) => group(a) - group(b) || rank(a) - rank(b) || placeOf(a) - placeOf(b));
    const first = sorted.findIndex(isShared);
    if (first === -1) return sorted;
    const shared = sorted.filter(isShared);
    return [...sorted.slice(0, first), ...spread(shared), ...sorted.slice(first + shared.length)];
  }
}
