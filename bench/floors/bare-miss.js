// The floor of a miss: undici and JSON.parse of the same venue answer, nothing else. argv: url, count.
// Prints microseconds of CPU a request, after a warm-up.
import { request } from 'undici';

const [, , url, count] = process.argv;
const fetchOnce = async () => JSON.parse(await (await request(url)).body.text());
for (let i = 0; i < 100; i++) await fetchOnce();
const before = process.cpuUsage();
for (let i = 0; i < Number(count); i++) await fetchOnce();
const used = process.cpuUsage(before);
process.stdout.write(`${(used.user + used.system) / Number(count)}\n`);
process.exit(0);
