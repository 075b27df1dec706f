/**
 * The pages of the documentation, as text. They load nothing but what this server has itself, by relative addresses:
 * `/docs` and `/redoc` are pages beside `/openapi.json`.
 */
import { ERROR_CODES } from '../../errors.js';
import { ADVICE } from './advice.js';
import { isErrorCode } from '../problems/problem.js';

const TITLE = 'mcp-crypto-data-server';

const page = (
  title: string,
  { head = '', body }: { readonly head?: string; readonly body: string },
): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${TITLE}</title>
${head}</head>
<body>
${body}
</body>
</html>
`;

export const swaggerPage = page('API', {
  head: '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="docs/swagger-ui.css">\n',
  body: `<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>`,
});

/** Kept in a file of its own, since the CSP allows no script in the page. */
export const swaggerStart = `SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
`;

export const redocPage = page('API reference', {
  head: '<link rel="icon" href="data:,">\n<style>body { margin: 0 }</style>\n',
  body: `<div id="redoc"></div>
<script src="redoc/redoc.standalone.js"></script>
<script src="redoc/start.js"></script>`,
});

export const redocStart = `Redoc.init('openapi.json', {
  theme: { typography: { fontFamily: 'sans-serif', headings: { fontFamily: 'sans-serif' } } },
}, document.getElementById('redoc'));
`;

export const graphiqlPage = page('GraphiQL', {
  head: `<link rel="icon" href="data:,">
<link rel="stylesheet" href="graphiql/graphiql.min.css">
<style>body { margin: 0 } #graphiql { height: 100vh }</style>
`,
  body: `<div id="graphiql"></div>
<script src="graphiql/react.production.min.js"></script>
<script src="graphiql/react-dom.production.min.js"></script>
<script src="graphiql/graphiql.min.js"></script>
<script src="graphiql/start.js"></script>`,
});

/** Headers, a key perhaps, stay in the page's memory. */
export const graphiqlStart = `const url = new URL('graphql', location.href);
const socket = new URL(url);
socket.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: url.href, subscriptionUrl: socket.href }),
    defaultQuery: '{ ticker(exchange: "binance", symbol: "BTC/USDT") { bid ask last meta { source ageMs } } }',
    shouldPersistHeaders: false,
    defaultEditorToolsVisibility: true,
  }),
);
`;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Where every problem's \`type\` leads. */
export const errorsPage = (): string => {
  const rows = Object.keys(ERROR_CODES)
    .filter(isErrorCode)
    .map((code) => {
      const { status, title, retryable } = ERROR_CODES[code];
      const { detail, advice } = ADVICE[code];
      const again = retryable ? 'Asking again may help.' : 'Asking again will not help.';
      return `<h2 id="${code}"><code>${code}</code></h2>
<p><b>${status} ${escape(title)}.</b> ${again}</p>
<p>For example: ${escape(detail)}</p>
<p>${escape(advice)}</p>`;
    });
  return page('Errors', {
    head: '<style>body { max-width: 45em; margin: 2em auto; padding: 0 1em; font-family: sans-serif }</style>\n',
    body: `<h1>Errors</h1>
<p>Every error is <code>application/problem+json</code> (RFC 9457) with one of these codes.</p>
${rows.join('\n')}`,
  });
};
