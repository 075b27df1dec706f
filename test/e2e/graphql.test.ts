// GraphQL of the built server: clients of others, the snippets of the documents, and GraphiQL in a browser.
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { ApolloClient, HttpLink, InMemoryCache, gql, type ApolloLink } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { cacheExchange, Client, fetchExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openTab } from '../support/chromium.js';
import { blocksOf } from './readme-blocks.js';
import { run, startDemo, type Demo } from './readme-demo.js';

let demo: Demo;
beforeAll(async () => {
  demo = await startDemo();
});
afterAll(() => demo.stop());

/** A generous bound on one answer: the machine may be busy with other tests. */
const LIMIT_MS = 20_000;
const blocks = blocksOf(
  readFileSync(new URL('../../docs/graphql.md', import.meta.url), 'utf8'),
  'docs/graphql.md',
);
const marked = (marker: string) => blocks.filter((block) => block.marker === marker);
const here = (text: string): string => text.replaceAll('localhost:8000', `127.0.0.1:${demo.port}`);

test('urql asks, by GET as well', async () => {
  for (const preferGetMethod of [false, 'force'] as const) {
    const client = new Client({
      url: `http://127.0.0.1:${demo.port}/graphql`,
      exchanges: [cacheExchange, fetchExchange],
      preferGetMethod,
    });
    const query =
      'query ($s: String!) { ticker(exchange: "binance", symbol: $s) { symbol last meta { source } } }';
    const { data, error } = await client.query(query, { s: 'BTC/USDT' }).toPromise();
    expect(error).toBeUndefined();
    expect(data).toMatchObject({ ticker: { symbol: 'BTC/USDT', meta: { source: 'sandbox' } } });
    const bad = await client
      .query('{ ticker(exchange: "binance", symbol: "NO/SUCH") { last } }', {})
      .toPromise();
    expect(bad.error?.graphQLErrors[0]?.extensions).toMatchObject({ code: 'symbol_not_found' });
  }
});

test('urql streams a subscription over the connection of its request', async () => {
  const client = new Client({
    url: `http://127.0.0.1:${demo.port}/graphql`,
    exchanges: [fetchExchange],
    fetchSubscriptions: true,
    preferGetMethod: false,
  });
  const query =
    'subscription { ticker(exchange: "binance", symbol: "BTC/USDT", threshold: 0) { __typename ... on TickerEvent { last } } }';
  const results = await new Promise<unknown[]>((resolve, reject) => {
    const seen: unknown[] = [];
    // It goes on until the server ends: urql lets nobody catch what its end by the client throws.
    client.subscription(query, {}).subscribe(({ data, error }) => {
      if (error !== undefined) reject(error);
      if (seen.push(data) === 3) resolve(seen);
    });
  });
  expect(JSON.stringify(results)).toContain('TickerEvent');
});

test('Apollo Client asks, registers its documents, asks by their hashes with GET, and subscribes', async () => {
  const url = `http://127.0.0.1:${demo.port}/graphql`;
  const sent: string[] = [];
  const http = new HttpLink({
    uri: url,
    fetch: (input, init) => {
      const asked = `${new Request(input, init).url} ${typeof init?.body === 'string' ? init.body : ''}`;
      sent.push(`${init?.method ?? 'GET'} ${asked.includes('ticker(') ? 'text' : 'hash'}`);
      return fetch(input, init);
    },
  });
  const hashed = new PersistedQueryLink({
    sha256: (text) => createHash('sha256').update(text).digest('hex'),
    useGETForHashedQueries: true,
  });
  const sockets = createClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket });
  const clientOver = (link: ApolloLink) => new ApolloClient({ link, cache: new InMemoryCache() });
  const query = gql`
    query PriceOf($symbol: String!) {
      ticker(exchange: "binance", symbol: $symbol) {
        symbol
        meta {
          source
        }
      }
    }
  `;
  const ask = async (link: ApolloLink, symbol: string): Promise<unknown> => {
    const { data, error } = await clientOver(link).query({
      query,
      variables: { symbol },
      errorPolicy: 'all',
    });
    return error ?? data;
  };
  const found = { ticker: { symbol: 'BTC/USDT', meta: { source: 'sandbox' } } };
  expect(await ask(http, 'BTC/USDT')).toMatchObject(found);
  expect(sent.splice(0)).toEqual(['POST text']);
  expect(await ask(hashed.concat(http), 'BTC/USDT')).toMatchObject(found);
  expect(sent.splice(0)).toEqual(['GET hash', 'POST text']);
  expect(await ask(hashed.concat(http), 'BTC/USDT')).toMatchObject(found);
  expect(sent.splice(0)).toEqual(['GET hash']);
  expect(await ask(hashed.concat(http), 'NO/SUCH')).toMatchObject({
    errors: [{ extensions: { code: 'symbol_not_found' } }],
  });

  const live = gql`
    subscription {
      ticker(exchange: "binance", symbol: "BTC/USDT", threshold: 0) {
        ... on TickerEvent {
          last
        }
      }
    }
  `;
  const stream = clientOver(new GraphQLWsLink(sockets)).subscribe({ query: live });
  const last = await new Promise<unknown>((resolve, reject) => {
    const open = stream.subscribe({
      next({ data, error }) {
        if (error !== undefined) reject(new Error('The subscription failed.', { cause: error }));
        const { ticker } = (data ?? {}) as { readonly ticker?: { readonly last?: number } };
        if (ticker?.last === undefined) return;
        open.unsubscribe();
        resolve(ticker.last);
      },
      error: reject,
    });
  });
  expect(last).toBeGreaterThan(0);
  await sockets.dispose();
});

test('graphql-ws subscribes', async () => {
  const client = createClient({ url: `ws://127.0.0.1:${demo.port}/graphql`, webSocketImpl: WebSocket });
  const query =
    'subscription { trades(exchange: "kraken", symbol: "BTC/USD") { ... on TradesEvent { trades { tradeId } } } }';
  for await (const { data, errors } of client.iterate({ query })) {
    expect(errors).toBeUndefined();
    if (JSON.stringify(data).includes('tradeId')) break;
  }
  await client.dispose();
});

test.each(marked('graphql').map((block) => [block.heading, block.text] as const))(
  'the snippet runs: %s',
  async (_heading, text) => {
    // Node 20 has no WebSocket of its own.
    const given = `import { WebSocket } from 'ws'; globalThis.WebSocket ??= WebSocket;\n${here(text)}`;
    const { output } = await run([process.execPath, '--input-type=module', '-e', given], {
      limitMs: LIMIT_MS,
      until: (out) => /last: \d/.test(out),
    });
    expect(output).toMatch(/symbol: 'BTC\/USDT'/);
  },
);

test('the snippets are these', () => {
  expect(marked('graphql').map(({ text }) => /from '([^'/]+(?:\/[^']+)?)'/.exec(text)?.[1])).toEqual([
    'graphql-ws',
    '@urql/core',
    '@apollo/client',
  ]);
});

test('the stream that the document shows is one', async () => {
  const command =
    blocks.find(({ language, text }) => language === 'sh' && text.includes('event-stream'))?.text ?? '';
  const { output } = await run(['bash', '-c', `exec ${here(command.trim()).replace(/^curl/, 'curl -sS')}`], {
    limitMs: LIMIT_MS,
    until: (out) => out.includes('"price"'),
  });
  expect(output).toMatch(/event: next\ndata: \{"data":\{"trades":\{"trades":\[\{"price":[\d.]+,"amount":/);
});

test('GraphiQL asks and subscribes in a browser, under its policy, without another host', async () => {
  const browser = await launchChromium();
  try {
    const page = await openTab(browser);
    const faults: string[] = [];
    const foreign: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('pageerror', (error) => faults.push(error.message));
    await page.route('**/*', (route) => {
      if (new URL(route.request().url()).host === `127.0.0.1:${demo.port}`) return route.continue();
      foreign.push(route.request().url());
      return route.abort();
    });
    const query = encodeURIComponent('{ ticker(exchange: "binance", symbol: "BTC/USDT") { symbol } }');
    const answer = await page.goto(`http://127.0.0.1:${demo.port}/graphiql?query=${query}`);
    expect(answer?.headers()['content-security-policy']).toContain(
      "script-src 'self'; style-src 'self' 'unsafe-inline'",
    );
    await page.getByRole('button', { name: /execute query/i }).click();
    await expect
      .poll(() => page.locator('.result-window').textContent(), { timeout: LIMIT_MS })
      .toMatch(/"?symbol"?: ?"BTC\/USDT"|"last": ?\d/);
    expect(faults).toEqual([]);
    expect(foreign).toEqual([]);
  } finally {
    await browser.close();
  }
});
