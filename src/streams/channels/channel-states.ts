/** What is known of a topic, by its channel. */
import type { StreamTopic } from '../../exchanges/exchange-client.js';
import type { ChannelState } from './channel-state.js';
import { OrderBookState, TickerState } from './latest-state.js';
import { OhlcvState, TradesState } from './sequence-state.js';

export const createChannelState = (topic: StreamTopic): ChannelState => {
  switch (topic.channel) {
    case 'ticker':
      return new TickerState();
    case 'trades':
      return new TradesState();
    case 'orderbook':
      return new OrderBookState();
    case 'ohlcv':
      return new OhlcvState(topic.interval);
  }
};
