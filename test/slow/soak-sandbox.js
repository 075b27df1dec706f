// The sandbox as a process whose clock the soak test moves together with the server's. Tests only.
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';

let server;
const { createServer } = http;
http.createServer = (...args) => (server = createServer(...args));
syncBuiltinESMExports();

const { startSandbox } = await import('../../dist/sandbox/sandbox.js');
const sandbox = await startSandbox({ ticksPerSecond: 10, weightLimit: Infinity });
// Node writes the machine's time, and the date of a Retry-After counts from there.
server.prependListener('request', (_, response) => {
  response.setHeader('date', new Date(Date.now()).toUTCString());
});

const sockets = new Set();
server.on('connection', (socket) => {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
});
server.on('upgrade', (_, socket) => sockets.delete(socket));
process.on('message', ({ order }) => {
  if (order !== 'drop idle') return;
  // A client would keep them for half a minute. Not closeIdleConnections(), which spares those that were never used.
  for (const socket of sockets) if (!socket._httpMessage) socket.destroy();
});
process.once('SIGTERM', () => void sandbox.close().then(() => process.disconnect()));
process.send({ url: sandbox.url });
