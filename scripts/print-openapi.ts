/** `npm run openapi`: prints the OpenAPI document of this version. It needs no exchange, no Redis and no network. */
import { buildApp } from '../src/app/app.js';
import { loadConfig } from '../src/config/config.js';
import { silentLog } from '../src/log/log.js';

const config = loadConfig({ REDIS_ENABLED: 'false' });
const app = await buildApp(config, { log: silentLog, redis: null });
const document: unknown = JSON.parse(await app.openApi());
await app.close();
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
