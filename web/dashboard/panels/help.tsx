/** What the keys do, and what can be chosen of looks. */
import { useEffect, useRef } from 'preact/hooks';
import { PALETTES, palette, singleKeys, THEMES, theme } from '../state/settings.js';
import { isHelpOpen } from './shortcuts.js';

const KEYS = [
  ['/', 'search markets'],
  ['j, k', 'the next, the previous watched market'],
  ['1 to 6', "the exchange's intervals"],
  ['arrows, Home, End', 'candles, while the chart has the focus'],
  ['Esc', 'close'],
  ['?', 'this'],
] as const;

const Choice = <T extends string>(props: {
  readonly name: string;
  readonly values: readonly T[];
  readonly chosen: T;
  readonly choose: (value: T) => void;
}) => (
  <fieldset>
    <legend>{props.name}</legend>
    {props.values.map((value) => (
      <label>
        <input
          type="radio"
          name={props.name}
          checked={props.chosen === value}
          onChange={() => props.choose(value)}
        />
        {value}
      </label>
    ))}
  </fieldset>
);

export const Help = () => {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => (isHelpOpen.value = false)}>
      <h2 id="help-title">Help</h2>
      <dl>
        {KEYS.map(([keys, what]) => (
          <>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <Choice
        name="Shortcuts of one key"
        values={['on', 'off']}
        chosen={singleKeys.value}
        choose={(value) => (singleKeys.value = value)}
      />
      <Choice name="Theme" values={THEMES} chosen={theme.value} choose={(value) => (theme.value = value)} />
      <Choice
        name="Colours"
        values={PALETTES}
        chosen={palette.value}
        choose={(value) => (palette.value = value)}
      />
      <p>Times are UTC. Ages are by the server's clock. Amounts are in the exchange's unit.</p>
      {/* Closed before it is gone, so that the focus returns to where it was. */}
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
};
