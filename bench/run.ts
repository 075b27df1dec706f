/**
 * npm run bench [-- B1 L2 ledger …] [--smoke]: every figure with its floor in the same run. Prints the table and writes
 * bench/results/latest.json. --smoke runs each once, checks that it counts what it claims, and judges nothing.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cluster } from './figures/cluster.js';
import { fanout } from './figures/fanout.js';
import { PYTHON, PYTHON_PACKAGES, cachedAnswers } from './figures/http.js';
import { graphql } from './figures/graphql.js';
import { latency } from './figures/latency.js';
import { ledger } from './figures/ledger.js';
import { ledgerLoad } from './figures/ledger-load.js';
import { memory } from './figures/memory.js';
import { miss } from './figures/miss.js';
import { processes } from './figures/processes.js';
import { scale } from './figures/scale.js';
import { start } from './figures/start.js';
import type { Figure, Row } from './lib/figure.js';
import { stopAll } from './lib/processes.js';
import { machine, table } from './lib/report.js';

const FIGURES: readonly Figure[] = [
  ...[
    cachedAnswers,
    fanout,
    memory,
    latency,
    start,
    miss,
    ledger,
    ledgerLoad,
    graphql,
    scale,
    processes,
    cluster,
  ],
];
/** Words that stand for several ids. */
const GROUPS: ReadonlyMap<string, readonly Figure[]> = new Map([
  ['LEDGER', [ledger, ledgerLoad]],
  ['GRAPHQL', [graphql]],
  ['CLUSTER', [cluster, processes]],
]);
/** A program, what proves that it is there, and Debian's packages that bring it. */
const NEEDS = [
  ['wrk', ['--version'], 'wrk'],
  ['taskset', ['--version'], 'util-linux'],
  ['cc', ['--version'], 'gcc libc6-dev'],
  ['redis-server', ['--version'], 'redis-server'],
  [PYTHON, ['-c', 'import fastapi, uvicorn, uvloop, httptools'], PYTHON_PACKAGES],
] as const;

/** wrk --version exits with 1, so of the others only a missing program counts. */
const missingNeeds = (): string[] =>
  NEEDS.flatMap(([program, proof, packages]) => {
    try {
      execFileSync(program, proof, { stdio: 'ignore' });
    } catch (error) {
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (isAbsent || program === PYTHON) return [`missing for ${program}: apt-get install ${packages}`];
    }
    return [];
  });

const arguments_ = process.argv
  .slice(2)
  .flatMap((word) => GROUPS.get(word.toUpperCase())?.flatMap(({ ids }) => ids) ?? [word]);
const unknown = arguments_.filter(
  (argument) =>
    argument !== '--smoke' &&
    !FIGURES.some(({ ids }) => ids.some((id) => id.toUpperCase() === argument.toUpperCase())),
);
if (unknown.length > 0) {
  console.error(
    `usage: npm run bench [-- <id> ...]; ids: ${FIGURES.flatMap(({ ids }) => ids).join(' ')}, or ledger for L1a to L4, graphql for G1 to G3, cluster for C1, C2, C3 and C5`,
  );
  process.exit(unknown.includes('--help') ? 0 : 2);
}
const smoke = arguments_.includes('--smoke');
const wanted = arguments_.filter((argument) => !argument.startsWith('--')).map((id) => id.toUpperCase());
const wants = (id: string): boolean => wanted.length === 0 || wanted.includes(id.toUpperCase());
const chosen = FIGURES.filter(({ ids }) => ids.some(wants));

const missing = missingNeeds();
if (missing.length > 0) {
  console.error(missing.join('\n'));
  process.exit(2);
}
process.once('exit', stopAll);
process.once('SIGINT', () => process.exit(130));

const begin = performance.now();
const progress = (text: string): void => {
  console.error(`[${((performance.now() - begin) / 1000).toFixed(0).padStart(3)} s] ${text}`);
};

/** A smoke run judges no time, so its figures need not have the machine to themselves. */
const LANES = smoke ? 3 : 1;
const found = new Map<Figure, readonly Row[]>();
const failures: string[] = [];
// In lanes the one that takes longest goes first, lest the others wait for it.
const queue = smoke ? [...chosen.slice(-1), ...chosen.slice(0, -1)] : [...chosen];
const lane = async (): Promise<void> => {
  for (let figure = queue.shift(); figure !== undefined; figure = queue.shift()) {
    try {
      found.set(figure, await figure.run({ smoke, progress, wants }));
    } catch (error) {
      failures.push(`${figure.ids.join(', ')}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
};
await Promise.all(Array.from({ length: LANES }, lane));
const numberOf = ({ id }: Row): number => Number(/\d+/.exec(id)?.[0]);
const rows = chosen
  .flatMap((figure) => found.get(figure) ?? [])
  .sort((a, b) => a.id.charCodeAt(0) - b.id.charCodeAt(0) || numberOf(a) - numberOf(b));
for (const row of rows) if (row.counted === 0) failures.push(`${row.id}: counted nothing`);

console.log(table(rows, { smoke }));
mkdirSync(new URL('results/', import.meta.url), { recursive: true });
const report = { at: new Date().toISOString(), smoke, machine: machine(), rows, failures };
writeFileSync(new URL('results/latest.json', import.meta.url), `${JSON.stringify(report, null, 2)}\n`);
if (failures.length > 0) console.error(`\n${failures.join('\n')}`);
console.log(`\n${rows.length} figures in ${((performance.now() - begin) / 1000).toFixed(0)} s`);
process.exit(failures.length > 0 ? 1 : 0);
