#!/usr/bin/env node
/** The program: `mcp-crypto-data-server`, or `node dist/cli.js`. */
import { runCommandLine } from './cli/command-line.js';
import { allowDistantAddresses } from './lib/address-families.js';

/** The longest that a timer takes. */
const FOREVER_MS = 2 ** 31 - 1;

allowDistantAddresses();
// Threads and timers that a command waits for do not keep the process: where nothing else does, as in a start that waits for
// a locked store, Node would end it with 13 and without a word.
setInterval(() => undefined, FOREVER_MS);
process.exit(await runCommandLine(process));
