// The fan-out floor: a raw TCP server that writes the same bytes to every socket, one write an event.
// argv: port, file with one event's bytes, events a second, writes an event (symbols).
import { createServer } from 'node:net';
import { readFileSync } from 'node:fs';

const [, , port, file, perSecond, writes = '1'] = process.argv;
const bytes = readFileSync(file);
const sockets = new Set();
createServer((socket) => {
  socket.setNoDelay(true);
  sockets.add(socket);
  socket.resume();
  socket.on('error', () => undefined);
  socket.on('close', () => sockets.delete(socket));
}).listen(Number(port), '127.0.0.1', 4096);
setInterval(
  () => {
    for (let i = 0; i < Number(writes); i++) for (const socket of sockets) socket.write(bytes);
  },
  1000 / Number(perSecond),
);
