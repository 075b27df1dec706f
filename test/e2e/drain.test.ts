/** How a server ends that has something to do: SIGTERM while requests are under way. */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { readSse, readWs, startRig, type Rig } from './streams-rig.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
/** What a supervisor commonly grants before it kills. */
const GRACE_MS = 10_000;

let rig: Rig | undefined;
afterEach(() => rig?.close());

/** Status and Connection header of the answer; rejects where the connection is cut. */
const get = (port: number, path: string) =>
  new Promise<{ status: number | undefined; connection: string | undefined }>((resolve, reject) => {
    const agent = new Agent({ keepAlive: true });
    request({ port, host: '127.0.0.1', path, agent }, (response) => {
      const { statusCode: status, headers } = response;
      response.resume().on('end', () => {
        agent.destroy();
        resolve({ status, connection: headers.connection });
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
const beginEnd = async (started: Rig) => {
  const { port, sandbox } = started;
  const waiting = get(port, TICKER);
  waiting.catch(() => undefined);
  const asked = () => sandbox.control.requestLog().some(({ kind }) => kind === 'ticker');
  await expect.poll(asked, { timeout: 60_000 }).toBe(true);
  return { waiting, ended: end(started) };
};

test('what is under way is answered, over a connection that then closes, and the server ends with 0', async () => {
  rig = await startRig();
  rig.sandbox.control.setFault({ venue: 'binance', match: 'ticker', fault: { type: 'delay', ms: 2_000 } });
  const { waiting, ended } = await beginEnd(rig);
  expect(await waiting).toEqual({ status: 200, connection: 'close' });
  const { code, tookMs } = await ended;
  expect(code).toBe(0);
  expect(tookMs).toBeLessThan(GRACE_MS);
});

test('what would never end is cut in time, and the server still ends with 0', async () => {
  rig = await startRig({ UPSTREAM_TIMEOUT: '100', REQUEST_TIMEOUT: '100' });
  rig.sandbox.control.setFault({ venue: 'binance', match: 'ticker', fault: { type: 'hang' } });
  const { waiting, ended } = await beginEnd(rig);
  await expect(waiting).rejects.toThrow();
  const { code, tookMs } = await ended;
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
