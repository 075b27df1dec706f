/**
 * `npm run openapi`: prints the OpenAPI document of this version; `-- required` that of servers with AUTH_MODE=required. It
 * needs no exchange, no Redis and no network.
 */
import { z } from 'zod';
import { makeOpenApi } from '../src/app/documentation.js';
import { AUTH_MODES } from '../src/schemas/access.js';

const mode = z.enum(AUTH_MODES).default('off').parse(process.argv[2]);
const document: unknown = JSON.parse(await makeOpenApi(mode));
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
