// What a browser loads of the page (dist/dashboard) and of the published client (dist/client), compressed by gzip, against
// what it may weigh; 1 beyond it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const folder = fileURLToPath(new URL('../dist/dashboard', import.meta.url));
const { files } = JSON.parse(readFileSync(join(folder, 'files.json'), 'utf8'));
const html = readFileSync(join(folder, 'index.html'), 'utf8');
const sizeOf = (name) => readFileSync(join(folder, `${name}.gz`)).length;

/** In bytes; `first` is what index.html names, the rest is loaded when it is needed. */
const BUDGETS = [
  { what: 'HTML', bytes: 4000, includes: (name) => name.endsWith('.html') },
  { what: 'CSS', bytes: 8000, includes: (name) => name.endsWith('.css') },
  { what: 'first script', bytes: 25_000, includes: (name) => name.endsWith('.js') && html.includes(name) },
  { what: 'later scripts', bytes: 60_000, includes: (name) => name.endsWith('.js') && !html.includes(name) },
  { what: 'all', bytes: 95_000, includes: (name) => !name.endsWith('.txt') },
];
const MAX_FILES = 8;
/** Of the client as it is published, with its comments: bundlers make about half of it. */
const CLIENT_BYTES = 14_000;
const KINDS = /\.(html|css|js|svg|txt)$/;

let isOver = false;
const report = (what, value, most) => {
  if (value > most) isOver = true;
  console.log(`${what}: ${value} of ${most}${value > most ? ', TOO MUCH' : ''}`);
};
for (const { what, bytes, includes } of BUDGETS)
  report(
    `${what}, bytes`,
    files.filter(includes).reduce((sum, name) => sum + sizeOf(name), 0),
    bytes,
  );
report('files', files.filter((name) => !name.endsWith('.txt')).length, MAX_FILES);
report(
  'files of other kinds, such as fonts',
  readdirSync(join(folder, 'assets')).filter((name) => !KINDS.test(name.replace(/\.(gz|br)$/, ''))).length,
  0,
);
const client = fileURLToPath(new URL('../dist/client', import.meta.url));
const scripts = readdirSync(client).filter((name) => name.endsWith('.js'));
const clientText = scripts.map((name) => readFileSync(join(client, name), 'utf8')).join('');
report('client, bytes', gzipSync(clientText, { level: 9 }).length, CLIENT_BYTES);
process.exitCode = isOver ? 1 : 0;
