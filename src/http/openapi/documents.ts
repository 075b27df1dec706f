/**
 * The documentation's addresses and the files that the build makes for them (dist/docs). Addresses within the pages are
 * relative, so that all of it works below a path prefix of a proxy.
 */
import type { AuthMode } from '../../schemas/access.js';

export interface DocumentFile {
  /** Below the documentation's folder; `<file>.gz` beside it is the same, compressed. */
  readonly file: string;
  readonly type: string;
  /** There is one for each AUTH_MODE, by fileOf. */
  readonly byMode?: boolean;
}

/** The file of a document on a server of this AUTH_MODE. */
export const fileOf = ({ file, byMode = false }: DocumentFile, mode: AuthMode): string =>
  byMode ? file.replace('.', `.${mode}.`) : file;

const JSON_TYPE = 'application/json; charset=utf-8';
export const HTML_TYPE = 'text/html; charset=utf-8';
const SCRIPT_TYPE = 'text/javascript; charset=utf-8';
const STYLE_TYPE = 'text/css; charset=utf-8';

export const DOCUMENTS = {
  '/openapi.json': { file: 'openapi.json', type: JSON_TYPE, byMode: true },
  '/asyncapi.json': { file: 'asyncapi.json', type: JSON_TYPE, byMode: true },
  '/docs': { file: 'docs/index.html', type: HTML_TYPE },
  '/docs/start.js': { file: 'docs/start.js', type: SCRIPT_TYPE },
  '/docs/swagger-ui-bundle.js': { file: 'docs/swagger-ui-bundle.js', type: SCRIPT_TYPE },
  '/docs/swagger-ui.css': { file: 'docs/swagger-ui.css', type: STYLE_TYPE },
  '/docs/errors': { file: 'docs/errors.html', type: HTML_TYPE },
  '/redoc': { file: 'redoc/index.html', type: HTML_TYPE },
  '/redoc/start.js': { file: 'redoc/start.js', type: SCRIPT_TYPE },
  '/redoc/redoc.standalone.js': { file: 'redoc/redoc.standalone.js', type: SCRIPT_TYPE },
  '/graphiql': { file: 'graphiql/index.html', type: HTML_TYPE },
  '/graphiql/start.js': { file: 'graphiql/start.js', type: SCRIPT_TYPE },
  '/graphiql/graphiql.min.js': { file: 'graphiql/graphiql.min.js', type: SCRIPT_TYPE },
  '/graphiql/graphiql.min.css': { file: 'graphiql/graphiql.min.css', type: STYLE_TYPE },
  '/graphiql/react.production.min.js': { file: 'graphiql/react.production.min.js', type: SCRIPT_TYPE },
  '/graphiql/react-dom.production.min.js': {
    file: 'graphiql/react-dom.production.min.js',
    type: SCRIPT_TYPE,
  },
} as const satisfies Record<string, DocumentFile>;

/** The page for trying GraphQL out, with its parts. */
export const isGraphiql = (url: string): boolean => url.startsWith('/graphiql');

export type DocumentUrl = keyof typeof DOCUMENTS;
