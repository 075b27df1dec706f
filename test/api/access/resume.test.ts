// A page that comes back after its stream was lost: `last_event_id` says what it has seen, as the header does for programs.
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { testFolder } from './access-app.js';
import { PlansRig, startVenues } from './plans-rig.js';

const folder = testFolder();
let venues: Sandbox;
let rig: PlansRig;
let key: string;
beforeAll(async () => {
  venues = await startVenues();
  rig = await PlansRig.start(venues, folder.file, { STREAM_HEARTBEAT_INTERVAL: '0.2' });
  ({ key } = await rig.issue());
});
afterAll(async () => {
  await rig.close();
  await venues.close();
  await folder.end();
});

interface SeenEvent {
  readonly id: string | undefined;
  readonly event: string;
}

/** The events of a stream up to and with the first of the kind `until`; the stream stays open until it is destroyed. */
const readUntil = async (until: string, query: string, headers: Readonly<Record<string, string>>) => {
  const path = `/v1/stream/ticker?exchange=binance&symbol=BTC/USDT${query}`;
  const asked = request({ port: rig.port, path, headers, agent: false }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  const events: SeenEvent[] = [];
  let rest = '';
  response.setEncoding('utf8');
  await new Promise<void>((resolve) => {
    response.on('data', (chunk: string) => {
      const messages = (rest + chunk).split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) {
        const event = /"event_type":"(\w+)"/.exec(message)?.[1] ?? '';
        events.push({ id: /^id: (.+)$/m.exec(message)?.[1], event });
        if (event === until) resolve();
      }
    });
  });
  return { events, response };
};

const ticket = async (): Promise<string> => {
  const { json } = await rig.app
    .inject({
      method: 'POST',
      url: '/v1/tickets',
      headers: { 'x-api-key': key },
      payload: { purpose: 'sse' },
    })
    .then((answer) => ({ json: answer.json<{ ticket: string }>() }));
  return json.ticket;
};

test('the last event is not sent again to who names it in the URL or in the header, and is to others', async () => {
  const first = await readUntil('ticker', '', { 'x-api-key': key });
  const id = first.events.at(-1)?.id ?? '';
  expect(id).not.toBe('');
  const tickers = async (query: string, headers: Readonly<Record<string, string>>): Promise<number> => {
    const { events, response } = await readUntil('heartbeat', query, headers);
    response.destroy();
    return events.filter(({ event }) => event === 'ticker').length;
  };
  const named = `&last_event_id=${encodeURIComponent(id)}`;
  expect(await tickers(`&ticket=${await ticket()}${named}`, {})).toBe(0);
  expect(await tickers('', { 'x-api-key': key, 'last-event-id': id })).toBe(0);
  expect(await tickers(`&ticket=${await ticket()}`, {})).toBe(1);
  expect(await tickers(`&ticket=${await ticket()}&last_event_id=earlier`, {})).toBe(1);
  // What a browser sends by itself is newer than what the page wrote into the URL.
  expect(await tickers('&last_event_id=earlier', { 'x-api-key': key, 'last-event-id': id })).toBe(0);
  expect(await tickers(named, { 'x-api-key': key, 'last-event-id': 'earlier' })).toBe(1);
  first.response.destroy();
});
