/** A zod schema as the SDK takes it: shown to clients, converted once for the process, checked by ourselves. */
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import type { z } from 'zod';

/**
 * The SDK builds a server for every HTTP request, and would convert and check with each. Arguments are checked by the
 * tool, so that a refusal has our code and advice; answers were checked where the venue's data came in.
 */
export const advertise = (schema: z.ZodType, io: 'input' | 'output'): StandardSchemaWithJSON => {
  const json = schema['~standard'].jsonSchema[io]({ target: 'draft-2020-12' });
  return {
    '~standard': {
      version: 1,
      vendor: 'mcp-crypto-data-server',
      validate: (value) => ({ value }),
      jsonSchema: { input: () => json, output: () => json },
    },
  };
};
