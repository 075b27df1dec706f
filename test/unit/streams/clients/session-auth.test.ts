import { describe, expect, it } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { Session } from '../../../../src/streams/clients/session.js';
import { FakeHub } from '../../../support/fake-hub.js';
import { settle } from '../fakes.js';
import { connect } from './fake-client.js';

const SUBSCRIBE = JSON.stringify({
  method: 'subscribe',
  params: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
  req_id: 2,
});
const auth = (token: string): string => JSON.stringify({ method: 'auth', params: { token }, req_id: 1 });

const rig = (gated = true) => {
  const { connection, host, socket, peer } = connect();
  const tokens: string[] = [];
  let known = false;
  let answer: (refusal: AppError | null) => void = () => undefined;
  const session = new Session({
    connection,
    hub: new FakeHub(),
    marketData: { resolveExchange: (name) => ({ name, exchange: name }) },
    health: { subscribe: () => () => undefined },
    sandbox: false,
    now: () => 0,
    monotonic: () => 0,
    toProblem: ({ code, status }) => ({ code, status }) as never,
    ...(gated
      ? {
          auth: {
            refusal: () => (known ? null : new AppError('unauthenticated', 'Say who you are.')),
            authenticate(token: string) {
              tokens.push(token);
              return new Promise<AppError | null>((resolve) => {
                answer = (refusal) => {
                  known = refusal === null;
                  resolve(refusal);
                };
              });
            },
          },
        }
      : {}),
  });
  const events = async (): Promise<Record<string, unknown>[]> => {
    await settle();
    host.turn.end();
    return socket.events;
  };
  return {
    session,
    tokens,
    events,
    peer,
    connection,
    judge: (refusal: AppError | null) => answer(refusal),
  };
};

describe('the auth message', () => {
  it.each([
    ['subscribe', SUBSCRIBE],
    ['list', '{"method":"list"}'],
    ['ping', '{"method":"ping"}'],
  ])('comes before %s, which is unauthenticated until then', async (method, message) => {
    const { session, events, connection } = rig();
    session.receive(message);
    expect(await events()).toMatchObject([{ event_type: 'error', code: 'unauthenticated', method }]);
    expect(connection.ended).toBe(false);
  });

  it('is answered, and what came behind it is served without waiting for the answer', async () => {
    const { session, events, judge, tokens } = rig();
    session.receive(auth('good'));
    session.receive(SUBSCRIBE);
    session.receive('{"method":"list","req_id":3}');
    expect(await events()).toEqual([]);
    judge(null);
    const told = await events();
    expect(told[0]).toEqual({ event_type: 'reply', method: 'auth', req_id: 1, success: true });
    expect(told.filter(({ event_type }) => event_type === 'reply').map(({ req_id }) => req_id)).toEqual(
      expect.arrayContaining([1, 2, 3]),
    );
    expect(tokens).toEqual(['good']);
  });

  it('with a credential that is not good ends the connection with its code', async () => {
    const { session, events, judge, connection, peer } = rig();
    session.receive(auth('bad'));
    session.receive(SUBSCRIBE);
    judge(new AppError('invalid_credentials', 'No.'));
    expect(await events()).toMatchObject([
      { event_type: 'error', code: 'invalid_credentials', method: 'auth', req_id: 1 },
    ]);
    expect(connection.ended).toBe(true);
    expect(peer.ends).toEqual([{ code: 1008, reason: 'Invalid credentials' }]);
  });

  it('holds back a bounded number of messages', async () => {
    const { session, events } = rig();
    session.receive(auth('slow'));
    for (let i = 0; i < 59; i++) session.receive('{"method":"list"}');
    expect(await events()).toEqual([]);
    for (let i = 0; i < 10; i++) session.receive('{"method":"list"}');
    expect((await events()).map(({ code }) => code)).toEqual(Array(10).fill('client_rate_limited'));
  });

  it.each([
    '{"method":"auth"}',
    '{"method":"auth","params":{"token":""}}',
    '{"method":"auth","params":{"token":5}}',
  ])('without a token (%s) is no credential but a fault', async (message) => {
    const { session, events, connection, tokens } = rig();
    session.receive(message);
    expect(await events()).toMatchObject([{ event_type: 'error', code: 'invalid_request', method: 'auth' }]);
    expect(connection.ended).toBe(false);
    expect(tokens).toEqual([]);
  });

  it('is accepted whatever it holds where access is off', async () => {
    const { session, events } = rig(false);
    session.receive(auth('anything'));
    expect(await events()).toMatchObject([{ method: 'auth', success: true }]);
  });
});
