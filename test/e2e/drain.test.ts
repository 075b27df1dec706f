/** How a server ends that has something to do: SIGTERM while requests are under way. */
import { once } from 'node:events';
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { readSse, readWs, startRig, type Rig } from './streams-rig.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
/** What a supervisor commonly grants before it kills. */
const GRACE_MS = 10_000;

let rig: Rig | undefined;
afterEach(() => rig?.close());

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Rejects where the connection is cut. */
const get = (port: number, path: string) =>
  new Promise<Answer>((resolve, reject) => {
    const agent = new Agent({ keepAlive: true });
    request({ port, host: '127.0.0.1', path, agent }, (response) => {
      const { statusCode: status, headers } = response;
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => {
        agent.destroy();
        resolve({ status, headers, body });
      });
    })
      .on('error', reject)
      .end();
  });

/** Resolves with the exit code and the time it took, in milliseconds. */
const end = async ({ process: child }: Rig): Promise<{ code: unknown; tookMs: number }> => {
  const exited = once(child, 'exit');
  const at = performance.now();
  child.kill('SIGTERM');
  const [code] = (await exited) as unknown[];
  return { code, tookMs: performance.now() - at };
};

/** The end of a server that has a request which the venue has got and not answered. */
const beginEnd = async (started: Rig, match = 'ticker') => {
  const { port, sandbox } = started;
  // A server that has just started on a busy machine may refuse what comes first (503 overloaded).
  const statusNow = async () => (await get(port, '/v1/exchanges')).status;
  await expect.poll(statusNow, { timeout: 60_000 }).toBe(200);
  const waiting = get(port, TICKER);
  const tooEarly = waiting.then(({ status, body }) => {
    throw new Error(`The answer came before the venue was asked: ${String(status)} ${body}`);
  });
  tooEarly.catch(() => undefined);
  const asked = () => sandbox.control.requestLog().some(({ kind }) => kind === match);
  await Promise.race([expect.poll(asked, { timeout: 60_000 }).toBe(true), tooEarly]);
  return { waiting, ended: end(started) };
};

test('what is under way is answered, over a connection that then closes, and the server ends with 0', async () => {
  rig = await startRig();
  rig.sandbox.control.setFault({ venue: 'binance', match: 'ticker', fault: { type: 'delay', ms: 2_000 } });
  const { waiting, ended } = await beginEnd(rig);
  expect(await waiting).toMatchObject({ status: 200, headers: { connection: 'close' } });
  const { code, tookMs } = await ended;
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(GRACE_MS);
});

test.each([
  { workers: '1', match: 'ticker' },
  { workers: '0', match: 'ticker' },
  { workers: '1', match: 'markets' },
])(
  'who waits for an exchange that hangs ($match, $workers workers) hears in time that the server ends',
  async ({ workers, match }) => {
    const env = { UPSTREAM_TIMEOUT: '100', REQUEST_TIMEOUT: '100', EXCHANGE_WORKERS: workers };
    rig = await startRig(env);
    rig.sandbox.control.setFault({ venue: 'binance', match, fault: { type: 'hang' } });
    const { waiting, ended } = await beginEnd(rig, match);
    const { status, headers, body } = await waiting;
    expect({ status, ...headers }).toMatchObject({
      status: 503,
      'content-type': 'application/problem+json; charset=utf-8',
      'retry-after': '1',
      connection: 'close',
    });
    expect(JSON.parse(body)).toMatchObject({ code: 'shutting_down', retryable: true, retry_after_ms: 1000 });
    const { code, tookMs } = await ended;
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(GRACE_MS);
  },
);

test('a connection that never finishes its request is cut in time, and the server still ends with 0', async () => {
  rig = await startRig();
  const socket = connect(rig.port, '127.0.0.1');
  socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n');
  socket.write('Content-Length: 1000\r\n\r\n{"half":');
  socket.on('error', () => undefined).resume();
  const closed = once(socket, 'close');
  await expect.poll(() => rig!.metric('http_requests_in_flight'), { timeout: 60_000 }).toBeGreaterThan(1);
  const { code, tookMs } = await end(rig);
  await closed;
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(GRACE_MS);
});

test('streams end at once: WebSockets with 1012, so that clients come back elsewhere', async () => {
  rig = await startRig();
  const query = 'exchange=binance&symbol=BTC/USDT';
  const [socket, sse] = [await readWs(rig.port, query), await readSse(rig.port, query)];
  const { code, tookMs } = await end(rig);
  expect(await socket.closed).toBe(1012);
  await sse.closed;
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(GRACE_MS / 2);
});
