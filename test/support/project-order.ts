import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that wait for processes start first, those that only compute fill the rest of the time. */
const ORDER = ['e2e', 'api', 'unit-own-process', 'unit'];

/** Vitest's own order (failed, then long, then large files first) within each project; the projects by ORDER. */
export class ProjectOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ project }: TestSpecification): number => ORDER.indexOf(project.name);
    const group = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    return sorted.sort((a, b) => group(a) - group(b) || rank(a) - rank(b));
  }
}
