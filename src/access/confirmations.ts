/** Tells the other servers that keys have changed, and counts those that know it a moment later. */
import { randomUUID } from 'node:crypto';
import type { Notices } from './notify/notices.js';

/** How long a change waits for the others' word. */
const CONFIRM_WITHIN_MS = 100;
/** `<id of the question>`; what has none, as a database writes it, is told and not confirmed. */
export const CHANGED = 'changed';
/** `<id of the question> <id of the server>`. */
export const CONFIRMED = 'confirmed';

export interface Confirmations {
  /** Resolves after CONFIRM_WITHIN_MS: how many servers have confirmed, this one counted. */
  tellOthers(): Promise<number>;
  close(): void;
}

/** `refresh` makes this server know what the others have committed. */
export const createConfirmations = (
  notices: Notices,
  { refresh, isAlone }: { readonly refresh: () => Promise<void>; readonly isAlone: boolean },
): Confirmations => {
  const server = randomUUID();
  const waiting = new Map<string, Set<string>>();
  const ends = [
    notices.on(CHANGED, (question) => {
      if (waiting.has(question)) return;
      void refresh().then(() => {
        if (question.length === server.length) notices.notify(CONFIRMED, `${question} ${server}`);
      });
    }),
    notices.on(CONFIRMED, (text) => {
      const [question = '', from = ''] = text.split(' ');
      waiting.get(question)?.add(from);
    }),
  ];
  return {
    async tellOthers() {
      if (isAlone) return 1;
      const question = randomUUID();
      const heard = new Set<string>([server]);
      waiting.set(question, heard);
      notices.notify(CHANGED, question);
      await new Promise((resolve) => setTimeout(resolve, CONFIRM_WITHIN_MS));
      waiting.delete(question);
      return heard.size;
    },
    close() {
      for (const end of ends) end();
    },
  };
};
