/** Headers that only pages need: JSON is neither framed nor does it run scripts or send referrers. */
import type { HeaderPair } from '../answers/common-headers.js';

/** Scripts from here alone; both UIs write styles into their elements, and draw their icons from data URLs. */
const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'";

export const PAGE_HEADERS: readonly HeaderPair[] = [
  ['content-security-policy', PAGE_CSP],
  ['referrer-policy', 'no-referrer'],
  ['x-frame-options', 'DENY'],
  ['cross-origin-opener-policy', 'same-origin'],
];
