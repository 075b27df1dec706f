/** The scripts and styles of Swagger UI, ReDoc and GraphiQL, from their packages. Only the build needs them. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);

const inPackage = (name: string, path: string): URL =>
  new URL(path, pathToFileURL(require.resolve(`${name}/package.json`)));

/** ReDoc's logo is an image on another host; a page of ours loads nothing from there. */
const withoutForeignLogo = (script: Buffer): Buffer =>
  Buffer.from(script.toString('utf8').replaceAll('https://cdn.redoc.ly/redoc/logo-mini.svg', 'data:,'));

export const swaggerAsset = (name: 'swagger-ui-bundle.js' | 'swagger-ui.css'): Promise<Buffer> =>
  readFile(inPackage('@fastify/swagger-ui', `static/${name}`));

const redocFile = (path: string): Promise<Buffer> => readFile(inPackage('redoc', path));

export const redocBundle = async (): Promise<Buffer> =>
  withoutForeignLogo(await redocFile('bundles/redoc.standalone.js'));

/** What must accompany ReDoc's bundle wherever it is copied to: its own licence and those that it bundles. */
export const redocLicences = async (): Promise<Readonly<Record<string, Buffer>>> => ({
  'redoc/redoc.LICENSE.txt': await redocFile('LICENSE'),
  'redoc/redoc.standalone.js.LICENSE.txt': await redocFile('bundles/redoc.standalone.js.LICENSE.txt'),
});

/** GraphiQL with the React that it runs on: the last versions that run from a script of the page's own server. */
export const graphiqlAsset = (name: 'graphiql.min.js' | 'graphiql.min.css'): Promise<Buffer> =>
  readFile(inPackage('graphiql', name));
export const reactAsset = (name: 'react' | 'react-dom'): Promise<Buffer> =>
  readFile(inPackage(name, `umd/${name}.production.min.js`));

export const graphiqlLicences = async (): Promise<Readonly<Record<string, Buffer>>> => ({
  'graphiql/graphiql.LICENSE.txt': await readFile(inPackage('graphiql', 'LICENSE')),
  'graphiql/react.LICENSE.txt': await readFile(inPackage('react', 'LICENSE')),
});
