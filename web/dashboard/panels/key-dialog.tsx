/** Asks for the API key of a server that answers nobody without one. It stays in memory; a reload asks again. */
import { createRef } from 'preact';
import { access, logIn } from '../state/server.js';

const input = createRef<HTMLInputElement>();

export const KeyDialog = () => (
  <section class="key-dialog" role="dialog" aria-modal="true" aria-labelledby="key-title">
    <h2 id="key-title">This server asks for a key</h2>
    {access.value === 'refused' && <p role="alert">The server does not take this key.</p>}
    <p>It is kept in the memory of this page alone: not in its address, not in storage.</p>
    <label for="key">API key</label>
    {/* No form: a browser would offer to keep what one sends, and the page's policy lets none be sent. */}
    <input
      id="key"
      ref={input}
      type="password"
      autocomplete="off"
      spellcheck={false}
      maxLength={4096}
      onKeyDown={(event) => {
        if (event.key === 'Enter') submit();
      }}
    />
    <button type="button" onClick={submit}>
      Use this key
    </button>
  </section>
);

const submit = (): void => {
  const key = input.current?.value.trim() ?? '';
  if (key !== '') logIn(key);
};
