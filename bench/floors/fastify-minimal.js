// The start floor: Fastify with one route. argv: port.
import fastify from 'fastify';

const app = fastify();
app.get('/v1/health', () => ({ status: 'ok' }));
await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' });
