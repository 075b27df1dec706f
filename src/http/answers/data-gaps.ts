/** The gaps of an answer that is not JSON, as the Data-Gaps header. */
import type { Gap } from '../../schemas/market.js';

const MAX_BYTES = 2_000;

/** `<from>-<to>;<reason>`, several separated by commas, cut after 2 kB with `;truncated`; null: there is no gap. */
export const dataGapsHeader = (gaps: readonly Gap[]): string | null => {
  if (gaps.length === 0) return null;
  let text = '';
  for (const { from, to, reason } of gaps) {
    const next = `${text === '' ? '' : ', '}${from}-${to};${reason}`;
    if (text.length + next.length > MAX_BYTES) return `${text};truncated`;
    text += next;
  }
  return text;
};
