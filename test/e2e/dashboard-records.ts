/** What the page shows over time, noted within the page at each change: no look from outside is as close. */
import type { Page } from 'playwright-core';

/** A row of the watch list at the instant of a change; times by the clock of this machine. */
export interface ShownPrice {
  readonly market: string;
  readonly at: number;
  readonly timestamp: number;
  readonly last: number;
  readonly bid: number;
  readonly ask: number;
}

/** Of the latest prices: a page that is watched for minutes must not grow by its watcher. */
const MAX_PRICES = 20_000;

/** Notes every row whose price changes, from now on. */
export const recordPrices = (page: Page): Promise<void> =>
  page.evaluate(`(() => {
    const number = (row, name) => Number(row.querySelector('.' + name).textContent.replaceAll(',', ''));
    const seen = (window.shownPrices = Array.from({ length: ${MAX_PRICES} }));
    window.shownCount = 0;
    new MutationObserver((changes) => {
      const at = Date.now();
      const rows = changes.map(({ target }) => target).filter((each) => each.matches('tr[data-market]'));
      for (const row of new Set(rows))
        seen[window.shownCount++ % seen.length] = {
          ...{ market: row.dataset.market, at, timestamp: Number(row.dataset.timestamp) },
          ...{ last: number(row, 'last'), bid: number(row, 'bid'), ask: number(row, 'ask') },
        };
    }).observe(document.body, { subtree: true, attributeFilter: ['data-timestamp'] });
  })()`);

/** In order; the latest of them where there are very many. */
export const recordedPrices = (page: Page): Promise<ShownPrice[]> =>
  page.evaluate(`(() => {
    const { shownPrices: seen, shownCount: count } = window;
    const turn = count > seen.length ? count % seen.length : 0;
    return [...seen.slice(turn), ...seen.slice(0, turn)].filter((each) => each !== undefined);
  })()`);

/** The word of each panel's feed at the instant of a change; '' while all is well. */
export interface ShownWord {
  readonly channel: 'ticker' | 'ohlcv' | 'orderbook' | 'trades';
  readonly at: number;
  readonly word: string;
}

/** Notes the words beside the row of `market` and beside the panels of the selected market, those of now first. */
export const recordWords = (page: Page, market: string): Promise<void> =>
  page.evaluate(`(() => {
    const places = {
      ticker: 'tr[data-market="${market}"]',
      ohlcv: '.chart .facts',
      orderbook: '.book h2',
      trades: '.tape h2',
    };
    const shown = {};
    window.shownWords = [];
    const look = () => {
      for (const [channel, place] of Object.entries(places)) {
        const word = document.querySelector(place + ' .word')?.textContent.split(' ').at(-1) ?? '';
        if (word === shown[channel]) continue;
        shown[channel] = word;
        window.shownWords.push({ channel, at: Date.now(), word });
      }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    look();
  })()`);

export const recordedWords = (page: Page): Promise<ShownWord[]> => page.evaluate('window.shownWords');
