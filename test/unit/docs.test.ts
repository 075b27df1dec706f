// The documents are kept in step with the code: settings, error codes, bounds, scripts, and every path they name.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { generatedDocuments } from '../../scripts/docs-tables.js';
import { loadConfig } from '../../src/config/config.js';
import { SETTINGS } from '../../src/config/setting-names.js';
import { ERROR_CODES } from '../../src/errors.js';
import { EXIT } from '../../src/lib/exit-codes.js';
import { ADVICE } from '../../src/http/openapi/advice.js';
import { CHANNELS, STREAM_STATES } from '../../src/schemas/stream.js';
import { CLOSE } from '../../src/streams/clients/connection.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const DOCUMENTS = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const STREAMS = read('docs/streams.md');

/** The cells of each row of the table below `heading`, without head and rule. */
const tableUnder = (markdown: string, heading: string): string[][] => {
  const section = markdown.slice(`\n${markdown}`.indexOf(`\n${heading}\n`));
  const table = /^\|.*\|\n\|[ |:-]+\|\n((?:\|.*\|\n)+)/m.exec(section)?.[1] ?? '';
  return table
    .trim()
    .split('\n')
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
};

const bare = (cell: string | undefined): string => (cell ?? '').replace(/^`|`$/g, '');

describe('docs/configuration.md', () => {
  const settings = tableUnder(read('docs/configuration.md'), '# Configuration');

  it('lists every setting with its description, and no other', () => {
    const listed = settings.map(([name, , description]) => ({ name: bare(name), description }));
    expect(listed).toEqual(SETTINGS.map(({ name, description }) => ({ name, description })));
  });

  it('gives the true default of every setting', () => {
    const defaults = loadConfig({});
    for (const [name, value] of settings) {
      const written = bare(value) === '(empty)' ? '' : bare(value);
      expect(loadConfig({ [bare(name)]: written }), bare(name)).toEqual(defaults);
    }
  });
});

describe('README.md', () => {
  const README = read('README.md');
  const cellsOf = (path: string, heading: string) => tableUnder(read(path), heading);

  it('is a page that one reads: fewer than 200 lines', () => {
    expect(README.split('\n').length).toBeLessThan(200);
  });

  it('says on the first screen that the live venues have not been tried', () => {
    expect(README.split('\n').slice(0, 25).join(' ')).toContain('not yet been tried against the live venues');
  });

  it('shows settings as docs/configuration.md does', () => {
    const all = cellsOf('docs/configuration.md', '# Configuration');
    for (const row of cellsOf('README.md', '## Settings')) expect(all).toContainEqual(row);
  });

  it('shows figures of the run in docs/performance.md', () => {
    const measured = cellsOf('docs/performance.md', '# Performance');
    for (const [id, , figure = ''] of cellsOf('README.md', '## Performance')) {
      const rows = measured.filter(([other]) => other === id).flat();
      const numbers = figure.match(/\d[\d.]*/g) ?? [];
      // The first is the figure itself; what follows it may be a condition.
      expect(
        rows.some((cell) => cell.split(/[ (]/)[0] === numbers[0]),
        figure,
      ).toBe(true);
    }
  });

  it('links to every document of docs/', () => {
    const documents = DOCUMENTS.filter((path) => path.startsWith('docs/'));
    expect(documents.filter((path) => !README.includes(`](${path})`))).toEqual([]);
  });
});

describe('docs/mcp.md', () => {
  const blocks = [...read('docs/mcp.md').matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(
    ([, text = '']) => text,
  );
  const entry = z.object({
    url: z.literal('http://localhost:8000/mcp').optional(),
    command: z.literal('node').optional(),
    args: z.tuple([z.string().endsWith('/dist/cli.js'), z.literal('--stdio')]).optional(),
    env: z.record(z.string(), z.string()).optional(),
  });
  const entryOf = (json: unknown) => {
    const { mcpServers, servers } = z
      .looseObject({ mcpServers: z.looseObject({}).optional(), servers: z.looseObject({}).optional() })
      .parse(json);
    return entry.parse((mcpServers ?? servers)?.['crypto'] ?? json);
  };

  it('shows entries for clients that are JSON, lead to this server, and set settings that exist', () => {
    expect(blocks).toHaveLength(5);
    for (const block of blocks) {
      const { url, command, env = {} } = entryOf(JSON.parse(block));
      expect(url ?? command).toBeDefined();
      expect(() => loadConfig(env)).not.toThrow();
      const known = SETTINGS.map(({ name }) => name);
      expect(Object.keys(env).filter((name) => !known.includes(name))).toEqual([]);
    }
  });
});

describe('docs/operations.md', () => {
  const OPERATIONS = read('docs/operations.md');
  const blocks = [...OPERATIONS.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text = '']) => ({
    language,
    text,
  }));
  const textOf = (language: string) => blocks.find((block) => block.language === language)?.text ?? '';

  it('shows settings for production that the server takes', () => {
    const text = blocks.find((block) => block.text.startsWith('APP_ENV='))?.text ?? '';
    const given = parseEnv(text);
    expect(Object.keys(given)).toHaveLength(5);
    const known = SETTINGS.map(({ name }) => name);
    expect(Object.keys(given).filter((name) => !known.includes(name))).toEqual([]);
    expect(loadConfig(given)).toMatchObject({ env: 'production', trustProxy: ['127.0.0.1'] });
  });

  it('shows a systemd unit that waits for the end of the server and not for a bad setting', () => {
    const unit = parseEnv(textOf('ini'));
    const endAfterMs = Number(
      /END_AFTER_MS = ([\d_]+)/.exec(read('src/app/serve-http.ts'))?.[1]?.replace('_', ''),
    );
    expect(Number(unit['TimeoutStopSec']) * 1000).toBeGreaterThan(
      endAfterMs + loadConfig({}).shutdownNoticeMs,
    );
    expect(Number(unit['RestartPreventExitStatus'])).toBe(EXIT.badSettings);
    expect(Number(unit['LimitNOFILE'])).toBeGreaterThan(loadConfig({}).stream.maxConnections);
  });

  it("shows a Prometheus target whose job is the alert rules' own", () => {
    const target = z
      .object({ scrape_configs: z.array(z.object({ job_name: z.string() })).length(1) })
      .parse(parse(textOf('yaml')));
    expect(read('docker/prometheus/alerts.yml')).toContain(`job="${target.scrape_configs[0]?.job_name}"`);
  });
});

describe('docs/errors.md', () => {
  const codes = tableUnder(read('docs/errors.md'), '# Errors');

  it('lists every error code with its status and whether asking again can help, and no other', () => {
    const listed = codes.map(([code, status, retryable]) => [bare(code), Number(status), retryable]);
    const real = Object.entries(ERROR_CODES).map(([code, { status, retryable }]) => [
      code,
      status,
      retryable ? 'yes' : 'no',
    ]);
    expect(listed).toEqual(real);
  });

  it('says of every error code what it means, and the same advice as /docs/errors', () => {
    for (const [code, , , meaning] of codes) expect(meaning?.length, code).toBeGreaterThan(10);
    const given = codes.map(([code, , , , advice]) => [bare(code), advice]);
    expect(given).toEqual(Object.entries(ADVICE).map(([code, { advice }]) => [code, advice]));
  });
});

it('the generated tables are those that `npm run docs` writes from the source of today', async () => {
  for (const { path, current, wanted } of await generatedDocuments())
    expect(current, `${path} is out of date: npm run docs`).toBe(wanted);
});

describe('docs/streams.md', () => {
  it('explains every close code, channel and state of the streams', () => {
    expect(tableUnder(STREAMS, '# Streams')).toHaveLength(3);
    for (const code of Object.values(CLOSE)) expect(STREAMS).toMatch(new RegExp(`^\\| ${code} +\\|`, 'm'));
    for (const channel of CHANNELS) expect(STREAMS).toMatch(new RegExp(`^\\| \`${channel}\` +\\|`, 'm'));
    for (const state of STREAM_STATES) expect(STREAMS).toContain(`\`${state}\``);
  });
});

describe('SECURITY.md', () => {
  const bounds = tableUnder(read('SECURITY.md'), '## Bounds').map(([what, constant, value, where]) => ({
    what,
    constant: bare(constant),
    value: bare(value),
    where: bare(where),
  }));

  it.each(bounds)('tells the true $constant ($what)', ({ constant, value, where }) => {
    const [, real] = new RegExp(`\\bconst ${constant}(?:: \\w+)? = ([^;]+);`).exec(read(where)) ?? [];
    expect(real).toBe(value);
  });

  it('has a row for every bound on the clients of the streams', () => {
    const limits = [...read('src/streams/clients/limits.ts').matchAll(/const (MAX_\w+) =/g)];
    // How writes are cut and gathered: no client can reach these.
    const inner = new Set(['MAX_DUE_EVENTS', 'MAX_HELD_EVENTS']);
    const names = limits.map(([, name = '']) => name).filter((name) => !inner.has(name));
    expect(names.filter((name) => !bounds.some(({ constant }) => constant === name))).toEqual([]);
  });
});

describe('comments in the source', () => {
  const sources = ['src', 'scripts', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[jt]s$/.test(name))
      .map((name) => join(folder, name)),
  );
  /** As GitHub makes them: lower case, no punctuation, a dash for each blank. */
  const anchorsOf = (markdown: string): string[] =>
    [...markdown.matchAll(/^#{1,4} (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );

  it('name documents and sections that exist', () => {
    const faults = sources.flatMap((source) =>
      [...read(source).matchAll(/\b((?:docs\/)?[\w-]+\.md)(?:#([\w-]+))?/g)].flatMap(
        ([text, path = '', anchor]) => {
          if (!existsSync(join(ROOT, path))) return [`${source}: ${text}`];
          return anchor === undefined || anchorsOf(read(path)).includes(anchor) ? [] : [`${source}: ${text}`];
        },
      ),
    );
    expect(faults).toEqual([]);
  });
});

const packageJson = z.object({ scripts: z.record(z.string(), z.string()) });

describe('all documents', () => {
  it.each(DOCUMENTS)('%s links to files that exist', (document) => {
    const links = [...read(document).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link);
    const local = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(local.filter((link) => !existsSync(join(ROOT, dirname(document), link)))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s names scripts that exist', (document) => {
    const { scripts } = packageJson.parse(JSON.parse(read('package.json')));
    const named = [...read(document).matchAll(/\bnpm run ([a-z][a-z:-]*)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  /** Written by a recipe's reader, by whoever deploys, or by a run. */
  const NOT_IN_THE_TREE = new Set([
    'docker/.env',
    'bench/results/',
    'src/sandbox/venues/bitvavo.ts',
    'src/streams/channels/funding-state.ts',
  ]);
  it.each(DOCUMENTS)('%s names files and folders that exist', (document) => {
    const named = [...read(document).matchAll(/`((?:src|test|scripts|docs|docker|bench)\/[\w./-]+)`/g)];
    const paths = named.map(([, path = '']) => path).filter((path) => !NOT_IN_THE_TREE.has(path));
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s names constants and functions of ours that are in the file it says', (document) => {
    const pairs = [...read(document).matchAll(/`([A-Z][A-Z_]{3,}|\w+Of)` (?:of|in) `(src\/[\w./-]+\.ts)`/g)];
    for (const [, name = '', path = ''] of pairs) expect(read(path), path).toContain(name);
  });
});
