/** `npm run openapi:types`: types of the API, made from its OpenAPI document, for the client that the tests check. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import openapiTs, { astToString, COMMENT_HEADER } from 'openapi-typescript';

const npx = (...args: string[]) =>
  execFileSync('npx', args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
const document: string = npx('tsx', 'scripts/print-openapi.ts', 'off');
const target = new URL('../test/support/openapi-types.ts', import.meta.url);
writeFileSync(target, COMMENT_HEADER + astToString(await openapiTs(document)));
npx('prettier', '--write', target.pathname);
