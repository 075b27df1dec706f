import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that wait for processes start first, those that only compute fill the rest of the time. */
const ORDER = ['e2e', 'api', 'unit-own-process', 'unit'];

/** A file that begins late and waits long is what all others have to wait for. */
const LONGEST_FIRST = [
  ...[
    'e2e/faults',
    'e2e/processes',
    'e2e/processes-redis',
    'e2e/drain',
    'e2e/backfill',
    'e2e/dashboard',
    'e2e/access-processes',
    'e2e/outage',
  ],
  ...['e2e/server', 'e2e/backfill-venues', 'e2e/backfill-kills', 'e2e/readme'],
  ...['e2e/access-trial', 'e2e/venue-failure', 'e2e/browser', 'e2e/client'],
  ...['api/cluster/shared-budget', 'api/feeds/order-books', 'api/feeds/watch', 'api/cli/store'],
  ...['e2e/workers', 'e2e/stalled-readers', 'e2e/redis-trouble', 'e2e/killed-owners'],
  ...['api/cluster/shared-budget-timing', 'e2e/abuse', 'e2e/shared-budget', 'e2e/package'],
  'e2e/hostile-budget',
].map((path) => `/test/${path}.test.ts`);

const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = LONGEST_FIRST.findIndex((path) => moduleId.endsWith(path));
  return place === -1 ? LONGEST_FIRST.length : place;
};

/** The projects by ORDER; within each the longest files, then Vitest's own order (failed, then long, then large files first). */
export class ProjectOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ project }: TestSpecification): number => ORDER.indexOf(project.name);
    const group = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    return sorted.sort((a, b) => group(a) - group(b) || rank(a) - rank(b) || placeOf(a) - placeOf(b));
  }
}
