// The HTTP floor: bare node:http writing one constant body. argv: port, file with the body, optional "304".
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

const [, , port, file, status] = process.argv;
const body = readFileSync(file);
const headers = ['content-type', 'application/json; charset=utf-8', 'content-length', String(body.length)];
createServer((request, response) => {
  if (status === '304') {
    response.writeHead(304);
    response.end();
    return;
  }
  response.writeHead(200, headers);
  response.end(body);
}).listen(Number(port), '127.0.0.1');
