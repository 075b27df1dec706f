import { beforeEach, expect, test } from 'vitest';
import { createStoreHealth } from '../../../src/ledger/store-health.js';
import type { CandleStore } from '../../../src/ledger/store.js';
import { recordingLog } from '../../support/recording-log.js';
import { FakeHandle } from './ledger-rig.js';

let at = 0;
let full: string | null = null;
beforeEach(() => {
  at = 1_000;
  full = null;
});
const rig = () => {
  const log = recordingLog();
  const handle = new FakeHandle({} as CandleStore);
  const health = createStoreHealth({ handle, space: { reason: () => full }, log, now: () => at });
  return { log, handle, health };
};

test('without space it is degraded, since then, with the latest reason', () => {
  const { health, handle } = rig();
  expect(health.status()).toBe(handle.told);
  full = '12 MB are free';
  expect(health.status()).toMatchObject({ state: 'degraded', detail: '12 MB are free', since: 1_000 });
  at = 9_000;
  full = '11 MB are free';
  expect(health.status()).toMatchObject({ detail: '11 MB are free', since: 1_000 });
  full = null;
  expect(health.status()).toMatchObject({ state: 'ok' });
  full = 'again';
  expect(health.status()).toMatchObject({ since: 9_000 });
});

test('what the store itself says of its state comes first', () => {
  const { health, handle } = rig();
  full = 'no space';
  handle.told = { ...handle.told, state: 'degraded', detail: 'corrupt' };
  expect(health.status().detail).toBe('corrupt');
});

test('each change is one line in the log, with the reason', () => {
  const { health, log, handle } = rig();
  health.tell();
  full = 'The disk is nearly full.';
  health.tell();
  full = 'The disk is nearly full, still.';
  health.tell();
  handle.told = { ...handle.told, state: 'degraded', detail: 'nothing is stored' };
  health.tell();
  handle.told = { ...handle.told, state: 'ok' };
  full = null;
  health.tell();
  health.tell();
  expect(log.lines).toEqual([
    {
      level: 'warn',
      details: { reason: 'The disk is nearly full.' },
      message: 'the candle store does not keep what it should',
    },
    { level: 'info', details: {}, message: 'the candle store is well again' },
  ]);
});

test('of a store that is not open those tell who open it', () => {
  const { health, log, handle } = rig();
  handle.current = null;
  handle.told = { ...handle.told, state: 'degraded', detail: 'Not open yet.' };
  health.tell();
  expect(log.lines).toEqual([]);
});
