/** `npm run openapi`: prints the OpenAPI document of this version. It needs no exchange, no Redis and no network. */
import { buildApp } from '../src/app.js';
import { loadConfig } from '../src/config.js';
import { silentLog } from '../src/services/log.js';

const config = loadConfig({ REDIS_ENABLED: 'false' });
const app = await buildApp(config, { log: silentLog, redis: null });
const document: unknown = JSON.parse(await app.openApi());
await app.close();
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
