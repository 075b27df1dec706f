/** Strong validators of finished bytes. */
import { hash } from 'node:crypto';

/** A strong ETag with its quotes. Costs a pass over the body: made once, when the body is made. */
export const etagOf = (body: Uint8Array): string => `"${hash('sha1', body, 'base64url')}"`;
