/**
 * `npm run test:recorded -- <folder>`: replays recorded answers of real venues (`<folder>/<exchange>/<name>.json`) and
 * compares every figure, time, side and id with the payload, read by the venue's documentation. Exit code 1 where
 * anything differs that the tables don't name as an exception.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Check, VenueTable } from './checks.js';
import { replay, type Difference } from './replay.js';
import { TABLES } from './tables.js';

const MAX_SHOWN = 4;

const nameOf = ({ kind, feed, file, symbol }: Check): string =>
  `${feed === true ? 'feed' : 'REST'} ${kind} ${symbol} (${file})`;

const lineOf = ({ field, expected, shown }: Difference): string =>
  `      ${field}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(shown)}`;

interface Sum {
  readonly compared: number;
  readonly wrong: number;
  readonly excepted: number;
}

const runVenue = async (table: VenueTable, folder: string): Promise<Sum> => {
  const lines: string[] = [];
  let [compared, wrong, excepted] = [0, 0, 0];
  for (const check of table.checks) {
    const outcome = await replay(table, check, folder);
    compared += outcome.compared;
    const unexpected = outcome.differences.filter(({ reason }) => reason === undefined);
    const named = outcome.differences.filter(({ reason }) => reason !== undefined);
    wrong += unexpected.length;
    excepted += named.length;
    for (const reason of new Set(
      named.map((difference) => `${difference.field}: ${difference.reason ?? ''}`),
    ))
      lines.push(`    exception, ${nameOf(check)}: ${reason}`);
    if (unexpected.length > 0) {
      lines.push(`    WRONG ${nameOf(check)}`, ...unexpected.slice(0, MAX_SHOWN).map(lineOf));
      lines.push(...outcome.unanswered.slice(0, MAX_SHOWN).map((asked) => `      not answered: ${asked}`));
    }
  }
  console.log(
    [`${table.exchange}: ${compared} checks, ${wrong} wrong, ${excepted} excepted`, ...lines].join('\n'),
  );
  return { compared, wrong, excepted };
};

const [folder, ...only] = process.argv.slice(2);
if (folder === undefined || !existsSync(folder)) {
  console.error('Usage: npm run test:recorded -- <folder of recordings> [exchange...]');
  process.exit(2);
}
const tables = TABLES.filter(({ exchange }) => only.length === 0 || only.includes(exchange));
let total: Sum = { compared: 0, wrong: 0, excepted: 0 };
for (const table of tables) {
  const own = path.join(folder, table.exchange);
  if (!existsSync(own)) {
    console.log(`${table.exchange}: no recordings`);
    continue;
  }
  const sum = await runVenue(table, own);
  total = {
    compared: total.compared + sum.compared,
    wrong: total.wrong + sum.wrong,
    excepted: total.excepted + sum.excepted,
  };
}
console.log(`${total.compared} checks, ${total.wrong} wrong, ${total.excepted} excepted`);
process.exit(total.wrong > 0 ? 1 : 0);
