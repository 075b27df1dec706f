/** A rig a test, ended after it; what clients of one feed are asked of all of them. */
import { afterEach, beforeEach, expect, onTestFailed } from 'vitest';
import type { Channel } from '../../../src/schemas/stream.js';
import {
  startRig,
  watchRejections,
  type Rig,
  type RigOptions,
  type StreamClient,
  type VENUES,
} from './rig.js';

export type Venue = (typeof VENUES)[number];

/** To be called once in a test file. No rejection may stay uncaught in any of its tests. */
export const rigOfEachTest = () => {
  let rig: Rig;
  let rejections: ReturnType<typeof watchRejections>;
  beforeEach(() => {
    rejections = watchRejections();
  });
  afterEach(async () => {
    await rig.close();
    rejections.stop();
    expect(rejections.seen).toEqual([]);
  });
  return {
    start: async (options: RigOptions = {}): Promise<Rig> => {
      const started = await startRig(options);
      rig = started;
      onTestFailed(() => {
        console.error(started.diagnosis().join('\n'));
      });
      return started;
    },
    /** A client whose feed is live and has brought something twice. */
    open: async ({ exchange, symbol }: Venue, channel: Channel = 'ticker'): Promise<StreamClient> => {
      const { client } = await rig.join({ channel, exchange, symbol });
      await client.state('live');
      await client.more(channel, 2);
      return client;
    },
    /** Every price that a client saw was the market's at that time; times of receipt lag a little behind it. */
    expectTruePrices: ({ exchange, symbol }: Venue, client: StreamClient): void => {
      for (const { last, timestamp } of client.ofType('ticker')) {
        const at = Number(timestamp);
        const truths = Array.from(
          { length: 31 },
          (_, step) => rig.sandbox.market.ticker(exchange, symbol, at - step * 100).last,
        );
        expect(truths).toContain(last);
      }
    },
  };
};
