// README.md and docs/ are executable: every curl in them is run against the demo's server and compared with the answer
// that the document shows.
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startSandbox } from '../../src/sandbox/sandbox.js';
import { launchChromium, openTab } from '../support/chromium.js';
import { blocksOf, differences, examplesOf, type Example } from './readme-blocks.js';
import { run, startDemo, type Demo } from './readme-demo.js';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const README = read('README.md');
/** Its commands are for the sandbox alone, on another port: see the last part. */
const OTHERS = new Set(['sandbox.md']);
const DOCUMENTS = [
  'README.md',
  ...readdirSync(new URL('docs/', ROOT))
    .filter((name) => name.endsWith('.md') && !OTHERS.has(name))
    .map((name) => `docs/${name}`),
];
const blocks = DOCUMENTS.flatMap((path) => blocksOf(read(path), path));
const examples = examplesOf(blocks);
const withAnswer = (language: string): Example[] =>
  examples.filter(({ answer }) => answer.language === language);

/** A generous bound on one answer: the machine may be busy with other tests. */
const ANSWER_MS = 15_000;
/** How long a snippet may take to print its first events. */
const EVENTS_MS = 45_000;

let demo: Demo;
beforeAll(async () => {
  demo = await startDemo();
});
afterAll(() => demo.stop());

const here = (text: string): string => text.replaceAll('localhost:8000', `127.0.0.1:${demo.port}`);

/** curl as the document has it, quiet, and with the status at the end. */
const curl = async (command: string): Promise<{ body: string; status: number }> => {
  const quiet = here(command).replace(/^curl/, "curl -sS --max-time 10 -w '\\n%{http_code}'");
  const { output } = await run(['bash', '-c', quiet], { limitMs: ANSWER_MS });
  const cut = output.lastIndexOf('\n');
  return { body: output.slice(0, cut), status: Number(output.slice(cut + 1)) };
};

interface Problem {
  readonly status?: unknown;
  readonly code?: unknown;
}

/** Objects printed by `console.log` or `print`, and JSON: all that matters is that a ticker with a price came. */
const showsTicker = (output: string): boolean =>
  /event_type['"]?: ['"]ticker/.test(output) && /last['"]?: \d/.test(output);
const showsTwoTickers = (output: string): boolean => (output.match(/['"]?ticker['"]/g) ?? []).length >= 2;

describe('the documents', () => {
  it('have examples for every endpoint', () => {
    const commands = examples.map(({ command }) => command).join('\n');
    for (const path of ['ticker', 'ohlcv', 'orderbook', 'trades'])
      expect(commands).toContain(`/v1/markets/${path}?`);
    for (const path of [
      '/v1/health',
      '/v1/health/ready',
      '/v1/exchanges',
      '/v1/markets?',
      '/v1/stream/ticker',
    ])
      expect(commands).toContain(path);
  });

  it('have the two commands word for word, in the README', () => {
    const lines = README.split('\n');
    expect(lines).toContain('npm ci && npm run demo');
    expect(lines).toContain('npm ci && npm test');
  });
});

describe('the answers that the documents show', () => {
  it.each(withAnswer('json'))('have the shape of the real ones: $name', async ({ command, answer }) => {
    const shown: unknown = JSON.parse(answer.text);
    const { body, status } = await curl(command);
    const actual: unknown = JSON.parse(body);
    expect(differences(shown, actual)).toEqual([]);
    const problem = shown as Problem;
    if (problem.code === undefined) expect(status).toBe(200);
    else {
      expect(status).toBe(problem.status);
      expect((actual as Problem).code).toBe(problem.code);
    }
  });

  it.each(withAnswer('http'))('have the headers of the real ones: $name', async ({ command, answer }) => {
    const [statusLine = '', ...headers] = answer.text.trim().split('\n');
    const { body } = await curl(command);
    const [realStatus = '', ...real] = (body.split('\r\n\r\n')[0] ?? '').split('\r\n');
    const names = real.map((line) => line.split(':', 1)[0]?.toLowerCase());
    expect(realStatus).toBe(statusLine);
    for (const header of headers) expect(names).toContain(header.split(':', 1)[0]);
    expect(real).toContain('data-source: sandbox; via=rest');
  });

  it('name metrics that are exported', async () => {
    const [example] = withAnswer('text').filter(({ command }) => command.includes('/metrics'));
    const { body } = await curl(example?.command ?? '');
    const exported = new Set(body.split('\n').map(seriesOf));
    const shown = (example?.answer.text.trim() ?? '').split('\n').map(seriesOf);
    expect(shown.length).toBeGreaterThan(3);
    expect(shown.filter((series) => !exported.has(series))).toEqual([]);
  });

  it('show the messages of an event stream as they are', async () => {
    const [example] = withAnswer('text').filter(({ command }) => command.includes('/v1/stream/'));
    const shown = eventsOf(example?.answer.text ?? '');
    const ticks = (output: string): number => eventsOf(output).filter(isTicker).length;
    const command = here(example?.command ?? '').replace(/^curl/, 'curl -sS');
    const { output } = await run(['bash', '-c', `exec ${command}`], {
      limitMs: EVENTS_MS,
      until: (text) => ticks(text) >= 2 && text.includes('"live"'),
    });
    expect(output).toContain('retry: 3000\n\nid: ');
    const actual = eventsOf(output);
    for (const event of shown) {
      const type = (event as { event_type?: unknown }).event_type;
      const alike = actual.find((other) => (other as { event_type?: unknown }).event_type === type);
      expect(differences(event, alike)).toEqual([]);
    }
    expect(shown.length).toBeGreaterThan(2);
  });
});

/** Name and label names of a metric's line, without the values. */
const seriesOf = (line: string): string => line.replace(/="[^"]*"/g, '').replace(/ \S+$/, '');

const eventsOf = (text: string): unknown[] =>
  [...text.matchAll(/^data: (.*)\n\n?/gm)].map(([, data = '']) => JSON.parse(data) as unknown);
const isTicker = (event: unknown): boolean => (event as { event_type?: unknown }).event_type === 'ticker';

describe('the examples in the tables of the README', () => {
  const inline = [...README.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);

  it.each(inline.filter((text) => text.startsWith('curl ')))('answer with 200: %s', async (command) => {
    const status = here(command).replace(
      /^curl/,
      "exec curl -sS -o /dev/null --max-time 3 -w '%{http_code}'",
    );
    const { output } = await run(['bash', '-c', status], { limitMs: ANSWER_MS });
    expect(output).toMatch(/^(curl: \(28\)[^\n]*\n)?200/);
  });

  it.each(inline.filter((text) => text.startsWith('{"method"')))(
    'are messages that /ws takes: %s',
    async (text) => {
      const socket = new WebSocket(`ws://127.0.0.1:${demo.port}/ws`);
      await once(socket, 'open');
      const reply = once(socket, 'message');
      socket.send(text);
      const [data] = await reply;
      socket.terminate();
      expect(JSON.parse(String(data))).toMatchObject({ event_type: 'reply', success: true });
    },
  );
});

describe('the snippets of the documents', () => {
  const marked = (marker: string) => blocks.filter((block) => block.marker === marker);

  it.each(marked('node'))('print events under Node.js: $heading', async ({ text }) => {
    const { output } = await run([process.execPath, '--input-type=module', '-e', here(text)], {
      limitMs: EVENTS_MS,
      until: (out) => showsTicker(out) && showsTwoTickers(out),
    });
    expect(output).toSatisfy(showsTicker);
  });

  it.each(marked('client'))('ask for answers and print them under Node.js: $heading', async ({ text }) => {
    const program = [process.execPath, '--input-type=module', '-e', here(text)] as const;
    const { code, output } = await run(program, { limitMs: EVENTS_MS });
    expect(output).toMatch(/^\[ [\d.]+, [\d.]+, [\d.]+ \]\nsymbol_not_found \d{3} false\n$/);
    expect(code).toBe(0);
  });

  it.each(marked('python'))('print events under Python, without any package: $heading', async ({ text }) => {
    const { output } = await run(['python3', '-c', here(text)], {
      limitMs: EVENTS_MS,
      until: (out) => showsTicker(out) && showsTwoTickers(out),
    });
    expect(output).toSatisfy(showsTicker);
  });

  /** With an unknown symbol, which asking again does not make known. */
  const refused = (text: string): string => here(text).replaceAll('BTC/USDT', 'NO/SUCH');
  const comesBack = (marker: string) => marked(marker).filter(({ text }) => text.includes('retryable'));

  it.each([...comesBack('node'), ...comesBack('python')])(
    'print why they are refused and end: $heading',
    async ({ marker, text }) => {
      const program = refused(text);
      const { code, output } = await run(
        marker === 'node'
          ? [process.execPath, '--input-type=module', '-e', program]
          : ['python3', '-c', program],
        { limitMs: EVENTS_MS },
      );
      expect(output).toMatch(/symbol_not_found|binance has no NO\/SUCH/);
      // It ended by itself, within the time; a generator of Python raises what it was told.
      expect([0, 1]).toContain(code);
    },
  );

  it.each(marked('script'))('end well and print a line under Python: $heading', async ({ text }) => {
    const { code, output } = await run(['python3', '-c', here(text)], { limitMs: EVENTS_MS });
    // Its minute may have ended while the pages came.
    expect(output).toMatch(/^\d{4,} candles, the last one: \{.*'closed': (?:False|True)\}\n$/);
    expect(code).toBe(0);
  });

  it.each(marked('compile'))('compile under Python: $heading', async ({ text }) => {
    const check = 'import sys; compile(sys.argv[1], "docs", "exec")';
    const { code, output } = await run(['python3', '-c', check, text], { limitMs: EVENTS_MS });
    expect(output).toBe('');
    expect(code).toBe(0);
  });

  it('show a moving price in a browser, saved as a page', async () => {
    // The page that takes a ticket needs a server that asks for one: access-trial.test.ts.
    const pages = blocks.filter(({ language, text }) => language === 'html' && !text.includes('/v1/tickets'));
    expect(pages).toHaveLength(3);
    const browser = await launchChromium();
    try {
      for (const { text } of pages) {
        const page = await openTab(browser);
        await page.setContent(here(text));
        const out = page.locator('#out');
        await expect.poll(() => out.textContent(), { timeout: EVENTS_MS }).toMatch(/^\d+(\.\d+)?$/);
        const first = await out.textContent();
        await expect.poll(() => out.textContent(), { timeout: EVENTS_MS }).not.toBe(first);
      }
    } finally {
      await browser.close();
    }
  });

  it('are all marked as run', () => {
    const scripts = blocks.filter(({ language }) => ['js', 'python'].includes(language));
    expect(scripts.filter(({ marker }) => marker === null)).toEqual([]);
    expect(marked('node')).toHaveLength(5);
    expect(marked('client')).toHaveLength(1);
    expect(marked('python')).toHaveLength(2);
    expect(marked('script')).toHaveLength(1);
    expect(marked('compile')).toHaveLength(2);
  });
});

describe('the examples of docs/sandbox.md', () => {
  const examplesOfSandbox = blocksOf(read('docs/sandbox.md'), 'docs/sandbox.md');
  const commands = examplesOfSandbox.filter(
    ({ language, text }) => language === 'sh' && /^curl /m.test(text),
  );

  it('are answered by a sandbox, each of them with a success', async () => {
    expect(commands).toHaveLength(3);
    const sandbox = await startSandbox({ control: true });
    try {
      const lines = commands.map(({ text }) => text).join('\n');
      const script = [
        // A status of 400 or more ends the script; its command is the last line of the output.
        'set -e; curl() { echo "$@"; command curl -sS --fail --max-time 10 -o /dev/null "$@"; }',
        lines.replaceAll('http://127.0.0.1:9900', sandbox.url),
      ].join('\n');
      const { code, output } = await run(['bash', '-c', script], { limitMs: EVENTS_MS });
      expect(code, output.trim().split('\n').slice(-2).join('\n')).toBe(0);
    } finally {
      await sandbox.close();
    }
  });

  it('run as a program', async () => {
    const [program, ...more] = examplesOfSandbox.filter(({ language }) => language === 'ts');
    expect(more).toEqual([]);
    const text = program?.text.replace("'./sandbox/", "'./dist/sandbox/") ?? '';
    const { code, output } = await run([process.execPath, '--input-type=module', '-e', text], {
      limitMs: EVENTS_MS,
    });
    expect(output).toBe('');
    expect(code).toBe(0);
  });
});
