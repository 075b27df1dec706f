// What tsc leaves undone: ReDoc's bundle, with its licences, is served from our own origin; the bin must be executable;
// and what was built from sources that are gone must not be started, tested or packed.
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('..', import.meta.url);
const at = (path) => fileURLToPath(new URL(path, root));

mkdirSync(at('dist/assets/'), { recursive: true });
const redoc = [
  ['bundles/redoc.standalone.js', 'redoc.standalone.js'],
  ['bundles/redoc.standalone.js.LICENSE.txt', 'redoc.standalone.js.LICENSE.txt'],
  ['LICENSE', 'redoc.LICENSE.txt'],
];
for (const [from, to] of redoc) copyFileSync(at(`node_modules/redoc/${from}`), at(`dist/assets/${to}`));
cpSync(at('src/ledger/migrations'), at('dist/ledger/migrations'), { recursive: true });
chmodSync(at('dist/server.js'), 0o755);

for (const path of readdirSync(at('dist'), { recursive: true, encoding: 'utf8' })) {
  const [, stem] = /^(?!assets)(.*)\.js(?:\.map)?$/.exec(path) ?? [];
  if (stem !== undefined && !existsSync(at(`src/${stem}.ts`))) rmSync(at(`dist/${path}`));
}
