#!/usr/bin/env node
/** The program: `mcp-crypto-data-server`, or `node dist/cli.js`. */
import { runCommandLine } from './cli/command-line.js';
import { allowDistantAddresses } from './lib/address-families.js';

allowDistantAddresses();
process.exit(await runCommandLine(process));
