/** The head of the page: what this is, whether it is real, whether it is connected; search, looks and help. */
import { computed } from '@preact/signals';
import { dependOn } from '../state/frame.js';
import { connection, fault, isSandbox, serverTime, status } from '../state/server.js';
import { THEMES, theme } from '../state/settings.js';
import { tick } from '../state/visibility.js';
import { isHelpOpen } from './shortcuts.js';
import { Search } from './search.js';

const SHOWN_OFFSET_MS = 2000;

/** Said where this machine's clock is off: the page's ages are by the server's. */
const clockNote = computed(() => {
  dependOn(tick);
  const off = Math.round((Date.now() - serverTime()) / 1000);
  return Math.abs(off) * 1000 < SHOWN_OFFSET_MS ? '' : `clock here ${off > 0 ? '+' : ''}${off} s`;
});

const nextTheme = (): void => {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto';
};

export const Header = () => (
  <header class="head">
    <h1>Crypto market data</h1>
    <span class="version">{status.value?.body.version}</span>
    {isSandbox.value && (
      <strong class="sandbox" title="Simulated exchanges: no price here is real">
        SANDBOX
      </strong>
    )}
    <span class={`connection ${connection.value}`} role="status">
      {connection}
    </span>
    <span class="note">{clockNote}</span>
    {fault.value !== null && <span class="note fault">{fault}</span>}
    <Search />
    <button type="button" class="theme" onClick={nextTheme}>
      Theme: {theme}
    </button>
    <button type="button" aria-haspopup="dialog" onClick={() => (isHelpOpen.value = true)}>
      Help
    </button>
  </header>
);
