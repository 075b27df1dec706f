/**
 * `npm run asyncapi:check`: the AsyncAPI documents of the streams, one for each AUTH_MODE, by the official parser; every
 * finding is a fault.
 */
import { Parser } from '@asyncapi/parser';
import { AUTH_MODES } from '../src/schemas/access.js';
import { asyncApiDocument } from '../src/schemas/asyncapi.js';

/** Severities, of 0 (error) to 3 (hint), that are let pass. */
const HARMLESS: readonly number[] = [2, 3];

for (const mode of AUTH_MODES) {
  const document = JSON.stringify(asyncApiDocument({ version: '0.0.0', mode }));
  const { diagnostics } = await new Parser().parse(document);
  const faults = diagnostics.filter(({ severity }) => !HARMLESS.includes(severity));
  for (const { message, path } of faults) console.error(`${mode}: ${path.join('.')}: ${message}`);
  console.log(`AsyncAPI document, AUTH_MODE=${mode}: ${faults.length} faults`);
  if (faults.length > 0) process.exitCode = 1;
}
