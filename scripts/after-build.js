// What tsc leaves undone: what was built from sources that are gone must not be started, tested or packed; the bin must
// be executable; the documentation is made from the built routes; the page has a
// compiler of its own; and the program is bundled.
import { chmodSync, cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildDashboard } from './build-dashboard.js';
import { bundle } from './bundle.js';

const root = new URL('..', import.meta.url);
const at = (path) => fileURLToPath(new URL(path, root));

for (const folder of ['ledger/migrations', 'access/store/migrations'])
  cpSync(at(`src/${folder}`), at(`dist/${folder}`), { recursive: true });

for (const path of readdirSync(at('dist'), { recursive: true, encoding: 'utf8' })) {
  const [, stem] = /^(?!docs\/|dashboard\/|chunks\/)(.*?)(?:\.js(?:\.map)?|\.d\.ts)$/.exec(path) ?? [];
  const source = stem?.startsWith('client/') ? 'web' : 'src';
  if (stem !== undefined && !existsSync(at(`${source}/${stem}.ts`))) rmSync(at(`dist/${path}`));
}

const { writeDocumentation } = await import('../dist/app/documentation.js');
await writeDocumentation(at('dist/docs'));
await buildDashboard();
await bundle();
chmodSync(at('dist/cli.js'), 0o755);
