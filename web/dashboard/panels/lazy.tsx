/** Parts of the page that few visitors open: their scripts are loaded when they are. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { describe } from '../state/server.js';

type Part = () => JSX.Element;

/** Until it is there something stands in its place. One that failed to load is tried again when it is opened again. */
export const lazy = (load: () => Promise<Part>): Part => {
  const part = signal<Part | string>('…');
  return () => {
    useEffect(() => {
      load().then(
        (loaded) => (part.value = loaded),
        (error: unknown) => (part.value = describe(error)),
      );
    }, []);
    const Loaded = part.value;
    return typeof Loaded === 'string' ? <p class="empty">{Loaded}</p> : <Loaded />;
  };
};
