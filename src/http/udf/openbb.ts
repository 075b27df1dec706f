/** The files by which OpenBB Workspace finds the charts. */
import { udfTicker } from './names.js';

/** OpenBB Workspace's list of what a server offers, and its list of layouts. */
export const openBbFiles = (enabled: readonly string[]) => {
  const [first = 'binance'] = enabled;
  const id = 'crypto_chart';
  const widgets = {
    [id]: {
      name: 'Crypto chart',
      description: 'Candles of any market of the enabled exchanges',
      category: 'Crypto',
      type: 'advanced_charting',
      endpoint: '/udf',
      gridData: { w: 40, h: 20 },
      data: { defaultSymbol: udfTicker(first, 'BTC/USDT'), updateFrequency: 10_000 },
    },
  };
  const layout = [{ i: id, x: 0, y: 0, w: 40, h: 20 }];
  const apps = [
    {
      name: 'Crypto market data',
      description: 'A chart of any market that this server knows',
      allowCustomization: true,
      tabs: { '': { id: '', name: '', layout } },
      groups: [],
    },
  ];
  return { widgets, apps };
};
