/** Market data over a fake venue, on vitest's clock; each test opens it as it needs it. */
import { vi } from 'vitest';
import { AppError, type ErrorCode } from '../../../src/errors.js';
import type { MarketQuery, ServedAnswer } from '../../../src/market-data/market-data-api.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';
import { createRig, tickerOf, type Rig, type RigOptions } from '../../support/market-data-rig.js';

export const START = 1_700_000_000_000;
export let rig: Rig;
export const open = (options: RigOptions = {}): Rig => {
  rig = createRig(options);
  return rig;
};
export const get = (query: MarketQuery = tickerOf('BTC/USDT')): Promise<ServedAnswer> =>
  rig.marketData.get(query);
export const fail = (code: ErrorCode, retryAfterMs?: number): void => {
  rig.exchanges.answer = () => Promise.reject(new AppError(code, 'no', { retryAfterMs }));
};
export const recover = (members: object = { last: 2 }): void => {
  rig.exchanges.answer = (request) => Promise.resolve(venueAnswer(request, Date.now(), { members }));
};
/** A venue that answers when the test says so. */
export const gate = () => {
  let release: (how: 'ok' | AppError) => void = () => undefined;
  rig.exchanges.answer = (request) =>
    new Promise((resolve, reject) => {
      release = (how) => (how === 'ok' ? resolve(venueAnswer(request, Date.now())) : reject(how));
    });
  return { release: (how: 'ok' | AppError = 'ok') => release(how) };
};
export const calls = (): number => rig.exchanges.fetched.length;
export const text = ({ body }: { body: Buffer }): string => body.toString();
export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof AppError ? error.code : 'not an AppError'),
  );
export const tick = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

export const useClock = (): void => {
  vi.useFakeTimers({ now: START });
};
export const closeRig = async (): Promise<void> => {
  await rig.close();
  vi.useRealTimers();
};
