// The program and its threads in a few large files: Node takes a third of a millisecond to find, read and link one module,
// and a start needs several hundred of ours, of zod and of Fastify. The bundles take the place of the entries that tsc
// wrote; every other module stays in dist as it is, for the documentation, the sandbox, tests and benchmarks.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const source = (path) => at(`src/${path}.ts`);
const CHUNKS = 'chunks';

/** What every start loads; the other packages are loaded by few settings or requests, from node_modules. */
const BUNDLED = new Set([
  ...['zod', 'fastify', '@fastify/websocket', '@fastify/proxy-addr', 'ws', 'pino', 'lru-cache', 'birpc'],
  'ipaddr.js',
]);
/** Optional native parts of ws, and the compilers of Fastify that the server does without (http/problems/validation.ts). */
const LEFT_OUT = new Set([
  ...['bufferutil', 'utf-8-validate'],
  ...['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler'],
]);

const packageOf = (id) => /^(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? id;
const isExternal = (id, importer = '') => {
  if (id.startsWith('.') || id.startsWith('/')) return false;
  if (id.startsWith('node:') || LEFT_OUT.has(id)) return true;
  return !BUNDLED.has(packageOf(id)) && !importer.includes('/node_modules/');
};

/** `import.meta.url` stays what it is without a bundle: files are found beside the module that asks for them. */
const moduleUrls = {
  name: 'module-urls',
  transform(code, id) {
    const path = relative(at('src'), id);
    if (path.startsWith('..') || !code.includes('import.meta.url')) return null;
    return code.replaceAll('import.meta.url', `__urlOf(${JSON.stringify(path.replace(/\.ts$/, '.js'))})`);
  },
  renderChunk(code, { fileName }) {
    const urlOf = (_call, path) => {
      const address = posix.relative(posix.dirname(fileName), path);
      return `new URL(${JSON.stringify(address.startsWith('.') ? address : `./${address}`)}, import.meta.url).href`;
    };
    return code.replaceAll(/__urlOf\("([^"]+)"\)/g, urlOf);
  },
};

/** Everything that a module needs before it runs. */
const staticGraph = (roots, context) => {
  const seen = new Set();
  const queue = [...roots];
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    queue.push(...(context.getModuleInfo(id)?.importedIds ?? []));
  }
  return seen;
};

/**
 * One chunk for each list of roots, without what an earlier one has; what is loaded on demand has chunks of its own. The
 * entry stays alone: the program's awaits the end of the server, and a chunk with it would never be there for the others.
 */
const chunksOf = (entry, lists) => {
  let chunks;
  return (id, context) => {
    if (id === source(entry)) return null;
    chunks ??= lists.map(([name, roots]) => [name, staticGraph(roots.map(source), context)]);
    return chunks.find(([, modules]) => modules.has(id))?.[0] ?? null;
  };
};

/** The lists of the program: what reads the settings, then the server. */
const PROGRAM = [
  ['settings', ['cli', 'cli/serve']],
  ['server', ['app/serve-http', 'exchanges/worker/supervisor', 'ledger/sqlite/sqlite-store']],
];

const bundleOf = async (entry, lists) => {
  const bundle = await rolldown({
    input: { [entry]: source(entry) },
    platform: 'node',
    tsconfig: false,
    preserveEntrySignatures: false,
    external: isExternal,
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    plugins: [moduleUrls],
    logLevel: 'silent',
  });
  const { output } = await bundle.generate({
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: `${CHUNKS}/[name]-[hash].js`,
    comments: false,
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [{ debugName: 'what a start loads', name: chunksOf(entry, lists) }],
    },
  });
  await bundle.close();
  return output;
};

/** Unchanged files are left alone: a server that runs from them may be about to load them. */
const write = (path, text) => {
  const file = at(`dist/${path}`);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};

/** The licences of the packages that are in the bundles. */
const licencesOf = (modules) => {
  const folders = new Set(
    modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []),
  );
  return [...folders]
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      return `${name} ${version} (${license})\n\n${file === undefined ? '' : readFileSync(`${folder}/${file}`, 'utf8')}`;
    })
    .sort()
    .join(`\n${'-'.repeat(80)}\n\n`);
};

export const bundle = async () => {
  const output = [
    ...(await bundleOf('cli', PROGRAM)),
    ...(await bundleOf('exchanges/worker/worker-entry', [['exchanges', ['exchanges/worker/worker-entry']]])),
    ...(await bundleOf('ledger/sqlite/worker-entry', [['store', ['ledger/sqlite/worker-entry']]])),
  ];
  for (const { fileName, code } of output) write(fileName, code);
  write(`${CHUNKS}/LICENSES.txt`, licencesOf(output.flatMap(({ moduleIds }) => moduleIds)));
  const written = new Set(['LICENSES.txt', ...output.map(({ fileName }) => posix.basename(fileName))]);
  for (const file of readdirSync(at(`dist/${CHUNKS}`)))
    if (!written.has(file)) rmSync(at(`dist/${CHUNKS}/${file}`));
};
