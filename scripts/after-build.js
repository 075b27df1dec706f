// What tsc leaves undone: what was built from sources that are gone must not be started, tested or packed; the bin must
// be executable; the documentation is made from the built routes; the page has a
// compiler of its own; and the program is bundled.
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** What the documentation and the bundles are made of; tsc's file has the hash of each source. */
const INPUTS = [
  ...['dist/.tsbuildinfo', 'package.json', 'package-lock.json'],
  ...['scripts/after-build.js', 'scripts/bundle.js'],
];
/** Entries that tsc writes and the bundles take the place of. */
const ENTRIES = ['cli', 'exchanges/worker/worker-entry', 'ledger/sqlite/worker-entry'];
const OUTPUTS = ['docs', 'chunks'];
const BUILT = at('dist/.built');

const fingerprint = () => {
  const hash = createHash('sha256');
  for (const path of [...INPUTS, ...ENTRIES.map((entry) => `dist/${entry}.js`)])
    hash.update(readFileSync(at(path)));
  for (const folder of OUTPUTS.filter((name) => existsSync(at(`dist/${name}`))))
    hash.update(
      readdirSync(at(`dist/${folder}`), { recursive: true, encoding: 'utf8' })
        .sort()
        .join('\n'),
    );
  return hash.digest('base64url');
};

await buildDashboard();
// A second build in a row has nothing to do: tests, `npm start` and `npm pack` all begin with one.
if (!existsSync(BUILT) || readFileSync(BUILT, 'utf8') !== fingerprint()) {
  rmSync(BUILT, { force: true });
  const { writeDocumentation } = await import('../dist/app/documentation.js');
  await writeDocumentation(at('dist/docs'));
  await bundle();
  writeFileSync(BUILT, fingerprint());
}
chmodSync(at('dist/cli.js'), 0o755);
