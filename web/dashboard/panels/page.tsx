/** The page: what stands beside what, by the room that there is. */
import { useEffect } from 'preact/hooks';
import { PANELS, panel, isSeen, layout, selection, side } from '../state/selection.js';
import { access } from '../state/server.js';
import { ChartPanel } from './chart-panel.js';
import { Header } from './header.js';
import { Health } from './health.js';
import { OrderBook } from './order-book.js';
import { lazy } from './lazy.js';
import { isHelpOpen, listenToKeys } from './shortcuts.js';
import { Trades } from './trades.js';
import { WatchList } from './watch-list.js';

const KeyDialog = lazy(async () => (await import('./key-dialog.js')).KeyDialog);
const Help = lazy(async () => (await import('./help.js')).Help);

const TradesOrBook = () => (
  <div class="side">
    <div class="tabs" role="group" aria-label="Beside the chart">
      {(['Book', 'Trades'] as const).map((name) => (
        <button type="button" aria-pressed={side.value === name} onClick={() => (side.value = name)}>
          {name}
        </button>
      ))}
    </div>
    {side.value === 'Book' ? <OrderBook /> : <Trades />}
  </div>
);

const PhoneTabs = () => (
  <nav class="phone-tabs" aria-label="Panels">
    {PANELS.map((name) => (
      <button
        type="button"
        aria-current={panel.value === name ? 'page' : undefined}
        onClick={() => (panel.value = name)}
      >
        {name}
      </button>
    ))}
  </nav>
);

export const Page = () => {
  useEffect(listenToKeys, []);
  const isWide = layout.value === 'wide';
  const isNarrow = layout.value === 'narrow';
  const key = selection.value === null ? '' : JSON.stringify(selection.value);
  return (
    <>
      <Header />
      <main class={`panels ${layout.value}`}>
        {isSeen('Watch') && <WatchList />}
        {isSeen('Chart') && <ChartPanel key={key} />}
        {isWide && (
          <div class="side">
            <OrderBook />
            <Trades />
          </div>
        )}
        {layout.value === 'medium' && <TradesOrBook />}
        {isNarrow && isSeen('Book') && <OrderBook />}
        {isNarrow && isSeen('Trades') && <Trades />}
        {isSeen('Health') && <Health />}
      </main>
      {isNarrow && <PhoneTabs />}
      {isHelpOpen.value && <Help />}
      {(access.value === 'needed' || access.value === 'refused') && <KeyDialog />}
    </>
  );
};
