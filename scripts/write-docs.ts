/** `npm run docs`: writes the tables of error codes and settings into docs/. `-- --check` only says what is out of date. */
import { writeFileSync } from 'node:fs';
import { generatedDocuments } from './docs-tables.js';

const check = process.argv.includes('--check');
for (const { path, current, wanted } of await generatedDocuments()) {
  if (current === wanted) continue;
  if (check) {
    console.error(`${path} is out of date: npm run docs`);
    process.exitCode = 1;
  } else {
    writeFileSync(new URL(`../${path}`, import.meta.url), wanted);
    console.log(`wrote ${path}`);
  }
}
