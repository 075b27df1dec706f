/** Whose a credential is that comes over a connection after its request: as a message of /ws, or in `connection_init`. */
import type { Access, AccessRequest } from '../../access/access.js';
import { invalid } from '../../access/admit.js';
import type { Principal } from '../../access/principal.js';
import { AppError } from '../../errors.js';

/** `client`: the address, for failed attempts. Never rejects. */
export const lateCaller = async (
  access: Access,
  request: AccessRequest,
  client: string,
): Promise<Principal | AppError> => {
  const admission = access.admit(request);
  // Good keys and remembered tokens are served from wherever they come: only what must be looked at elsewhere is barred.
  const found = admission === 'ask' ? (access.barred(client) ?? (await access.ask(request))) : admission;
  if (found instanceof AppError) return access.failed(found, client);
  return found.mcpOnly ? access.failed(invalid(), client) : found;
};
