import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/config.js';
import { createLog } from '../../../src/log/pino-log.js';

const collect = () => {
  let text = '';
  const destination = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { destination, text: () => text };
};

test('a line is JSON with level, time, fields and message, from the level of the settings on', async () => {
  const { destination, text } = collect();
  const log = await createLog(loadConfig({ LOG_LEVEL: 'warning' }), { destination, pretty: false });
  log.info({}, 'not this');
  log.warn({ exchange: 'kraken' }, 'this');
  expect(JSON.parse(text())).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    exchange: 'kraken',
    msg: 'this',
  });
});

test.each([
  ['of a cluster say which server wrote them', {}, 'north_1'],
  ['of a server that acts alone do not', { BUS: 'none' }, undefined],
])('lines %s', async (_what, env, serverId) => {
  const { destination, text } = collect();
  const log = await createLog(loadConfig({ SERVER_ID: 'north_1', ...env }), { destination, pretty: false });
  log.info({}, 'a line');
  expect((JSON.parse(text()) as { server_id?: string }).server_id).toBe(serverId);
});

test('keys and passwords never stand in a line: not as a field, not in a message, not in a stack', async () => {
  const { destination, text } = collect();
  const config = loadConfig({ CMC_API_KEY: 'key-1234567', REDIS_URL: 'redis://u:p%40ss-word@localhost/0' });
  const log = await createLog(config, { destination, pretty: false });
  log.warn(
    { headers: { authorization: 'Bearer abc' }, token: 'abc', deep: { a: { apiKey: 'abc' } } },
    'fields',
  );
  log.error({ err: new Error('refused with key-1234567') }, 'for key-1234567 at p%40ss-word and p@ss-word');
  expect(text()).not.toMatch(/abc|key-1234567|ss-word/);
  expect(text().match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(6);
});

test('on a terminal lines are for people', async () => {
  const { destination, text } = collect();
  const log = await createLog(loadConfig({}), { destination, pretty: true });
  log.info({ port: 1 }, 'listening');
  log.info({ request_id: 'r', method: 'GET', route: '/v1', status: 200, errors: [{ a: 1 }] }, 'request');
  await expect.poll(text).toMatch(/INFO.*listening.*\n.*INFO.*request.*200.*\n$/);
  expect(text().trimEnd().split('\n')).toHaveLength(2);
  expect(text()).not.toContain('"msg"');
});
