/** What the feed can do. */
import { RESOLUTIONS, udfExchange } from './names.js';

/** Made static, so that a chart can always begin: without these flags the adapter never gets ready. */
export const udfConfigOf = (enabled: readonly string[]) => ({
  supports_search: true,
  supports_group_request: false,
  supports_marks: false,
  supports_timescale_marks: true,
  supports_time: true,
  exchanges: [
    { value: '', name: 'All', desc: '' },
    ...enabled.map((name) => ({ value: udfExchange(name), name: udfExchange(name), desc: name })),
  ],
  symbols_types: [
    { name: 'All', value: '' },
    { name: 'Crypto', value: 'crypto' },
  ],
  supported_resolutions: RESOLUTIONS,
});
