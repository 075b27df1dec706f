/** `npm run asyncapi:check`: the AsyncAPI document of the streams, by the official parser; every finding is a fault. */
import { Parser } from '@asyncapi/parser';
import { asyncApiDocument } from '../src/schemas/asyncapi.js';

/** Severities, of 0 (error) to 3 (hint), that are let pass. */
const HARMLESS: readonly number[] = [2, 3];

const { diagnostics } = await new Parser().parse(JSON.stringify(asyncApiDocument({ version: '0.0.0' })));
const faults = diagnostics.filter(({ severity }) => !HARMLESS.includes(severity));
for (const { message, path } of faults) console.error(`${path.join('.')}: ${message}`);
console.log(`AsyncAPI document: ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
