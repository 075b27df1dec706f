// Builds the page (web/dashboard) into dist/dashboard. A server may be reading that folder: the build goes to a folder of its
// own, then only what differs is written, each file by a rename, assets before the page that names them; files of the
// build before go last. `files.json` names the files; gzip and Brotli copies are made here, so that a server only sends.
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'web/dashboard');
const target = join(root, 'dist/dashboard');
const INPUTS = ['web/dashboard', 'web/client', 'scripts/build-dashboard.js', 'package-lock.json'];

const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
const inputFiles = () =>
  INPUTS.flatMap((path) => (/\.\w+$/.test(path) ? [join(root, path)] : filesBelow(join(root, path))));

/** Of everything that the build is made of. */
const fingerprint = () => {
  const hash = createHash('sha256');
  for (const file of inputFiles()) hash.update(file.slice(root.length)).update(readFileSync(file));
  return hash.digest('base64url');
};

const readOrNull = (file) => {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
};

const put = (name, body) => {
  const file = join(target, name);
  if (readOrNull(file)?.equals(body) === true) return;
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, body);
  renameSync(temporary, file);
};

const brotli = (body) =>
  brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } });

const build = async (folder) => {
  const vite = await import('vite');
  await vite.build({
    root: source,
    configFile: false,
    logLevel: 'warn',
    // Relative addresses: a proxy may serve the page below any prefix.
    base: './',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: 'es2023',
      assetsInlineLimit: 0,
      modulePreload: false,
      reportCompressedSize: false,
    },
  });
};

const PACKAGES = ['preact', '@preact/signals', '@preact/signals-core', 'lightweight-charts', 'fancy-canvas'];
/** Of lightweight-charts' repository; its package has no such file. The page shows it, too. */
const NOTICE = `TradingView Lightweight Charts™
Copyright (c) 2023 TradingView, Inc. https://www.tradingview.com/`;

/** The licences of what the scripts are made of, for a file beside them. */
const notices = () => {
  const of = (name) => {
    const { version, license } = JSON.parse(
      readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'),
    );
    const text = readOrNull(join(root, 'node_modules', name, 'LICENSE'));
    return `${name} ${version}: ${license}\n\n${text ?? ''}`;
  };
  return `${[NOTICE, ...PACKAGES.map(of)].join('\n\n----\n\n')}\n`;
};

export const buildDashboard = async () => {
  const print = fingerprint();
  const known = readOrNull(join(target, 'files.json'));
  if (known !== null && JSON.parse(known.toString()).fingerprint === print) return;
  mkdirSync(join(root, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(root, 'dist/.dashboard-'));
  try {
    await build(folder);
    const built = filesBelow(folder).map((file) => [file.slice(folder.length + 1), readFileSync(file)]);
    built.push(['assets/LICENSES.txt', Buffer.from(notices())]);
    // The page last: what it names is there by then.
    built.sort(([a], [b]) => Number(a.endsWith('.html')) - Number(b.endsWith('.html')));
    const names = [];
    for (const [name, body] of built) {
      put(`${name}.gz`, gzipSync(body, { level: 9 }));
      put(`${name}.br`, brotli(body));
      put(name, body);
      names.push(name);
    }
    put('files.json', Buffer.from(JSON.stringify({ fingerprint: print, files: names })));
    const present = new Set(['files.json', ...names.flatMap((name) => [name, `${name}.gz`, `${name}.br`])]);
    for (const file of filesBelow(target))
      if (!present.has(file.slice(target.length + 1)) && !file.endsWith('.tmp'))
        rmSync(file, { force: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
