/** The scripts and styles of Swagger UI and ReDoc, from the packages on this machine. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);

const inPackage = (name: string, path: string): URL =>
  new URL(path, pathToFileURL(require.resolve(`${name}/package.json`)));

/** ReDoc's bundle is copied beside the built code; when the sources run, it is taken from the package. */
const redocBundle = async (): Promise<Buffer> => {
  try {
    return await readFile(new URL('../../assets/redoc.standalone.js', import.meta.url));
  } catch {
    return readFile(inPackage('redoc', 'bundles/redoc.standalone.js'));
  }
};

/** ReDoc's logo is an image on another host; a page of ours loads nothing from there. */
const withoutForeignLogo = (script: Buffer): Buffer =>
  Buffer.from(script.toString('utf8').replaceAll('https://cdn.redoc.ly/redoc/logo-mini.svg', 'data:,'));

export const swaggerAsset = (name: 'swagger-ui-bundle.js' | 'swagger-ui.css'): Promise<Buffer> =>
  readFile(inPackage('@fastify/swagger-ui', `static/${name}`));

export const redocAsset = async (): Promise<Buffer> => withoutForeignLogo(await redocBundle());
