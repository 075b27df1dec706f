// A Binance whose candles cost next to nothing to make, since the subject is what becomes of them; everything else is the
// simulated venues'. argv: port, URL of the simulated venues.
import { createServer } from 'node:http';

const [, , port, venues] = process.argv;
const MINUTE = 60_000;
const MOST = 1000;

const rowAt = (start) => {
  const step = (start / MINUTE) % 1000;
  const [open, close] = [42_000 + step / 8, 42_000 + ((step * 7) % 1000) / 8];
  const [high, low] = [Math.max(open, close) + 1.25, Math.min(open, close) - 1.25];
  const volume = 1.5 + step / 16;
  return (
    `[${start},"${open.toFixed(2)}","${high.toFixed(2)}","${low.toFixed(2)}","${close.toFixed(2)}","${volume.toFixed(5)}",` +
    `${start + MINUTE - 1},"${(volume * close).toFixed(8)}",${step + 1},"0.50000000","21000.00000000","0"]`
  );
};

const klines = (query) => {
  const limit = Math.min(Number(query.get('limit') ?? MOST), MOST);
  const from = Math.ceil(Number(query.get('startTime')) / MINUTE) * MINUTE;
  return `[${Array.from({ length: limit }, (_, index) => rowAt(from + index * MINUTE)).join(',')}]`;
};

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, venues);
  response.setHeader('content-type', 'application/json');
  if (pathname.endsWith('/klines')) {
    response.end(klines(searchParams));
    return;
  }
  fetch(`${venues}${request.url}`)
    .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
    .catch(() => response.destroy());
}).listen(Number(port), '127.0.0.1');
