// What @fastify/sse makes of the same fan-out: every client is sent the event as its documentation says.
// argv: port, file with one event's JSON, events a second.
import { readFileSync } from 'node:fs';
import sse from '@fastify/sse';
import Fastify from 'fastify';

const [, , port, file, perSecond] = process.argv;
const data = JSON.parse(readFileSync(file, 'utf8'));
const clients = new Set();
const app = Fastify();
await app.register(sse);
app.get('/events', { sse: true }, async (request, reply) => {
  reply.sse.keepAlive();
  clients.add(reply.sse);
  request.raw.once('close', () => clients.delete(reply.sse));
  await reply.sse.send({ data: 'connected' });
});
await app.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
setInterval(
  () => {
    const id = `${Date.now()}-1000`;
    for (const client of clients) client.send({ id, data }).catch(() => undefined);
  },
  1000 / Number(perSecond),
);
