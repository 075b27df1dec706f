// `npm run sandbox`: the simulated venues as a process of their own.
import { runSandbox } from './command-line.js';

process.exitCode = await runSandbox({
  args: process.argv.slice(2),
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
  onSignal: (end) => {
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
  },
});
