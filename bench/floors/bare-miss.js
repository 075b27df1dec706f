// The floor of a miss: undici and JSON.parse of the same venue answer, nothing else. argv: url, count, requests before
// the first that counts. Prints microseconds of CPU a request.
import { request } from 'undici';

const [, , url, count, warmUp] = process.argv;
const fetchOnce = async () => JSON.parse(await (await request(url)).body.text());
for (let i = 0; i < Number(warmUp); i++) await fetchOnce();
const before = process.cpuUsage();
for (let i = 0; i < Number(count); i++) await fetchOnce();
const used = process.cpuUsage(before);
process.stdout.write(`${(used.user + used.system) / Number(count)}\n`);
process.exit(0);
