/** `npm run openapi`: prints the OpenAPI document of this version. It needs no exchange, no Redis and no network. */
import { makeOpenApi } from '../src/app/documentation.js';

const document: unknown = JSON.parse(await makeOpenApi());
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
