/** The server: HTTP, or MCP over standard input and output. */
import { readSettings } from '../app/settings.js';
import { WITHOUT_ACCESS } from '../config/access-settings.js';
import { placeOf } from '../processes/place.js';
import type { Command } from './command.js';

export const serve: Command = {
  help: `Usage: mcp-crypto-data-server [serve] [--stdio]

Serves market data over REST, Server-Sent Events, WebSocket and MCP until a signal ends it.

Options:
  --stdio  serve MCP over standard input and output instead, and open no port
`,
  options: { stdio: { type: 'boolean' } },
  takesPositionals: false,
  async run({ values, program }) {
    const isStdio = values['stdio'] === true;
    // Whoever started the process is its only caller: the settings of access are those of the server over HTTP.
    const config = readSettings(isStdio ? { ...program.env, ...WITHOUT_ACCESS } : program.env);
    // Loaded after the settings are checked, so that bad settings are reported without delay.
    if (isStdio) {
      const { serveStdio } = await import('../app/serve-stdio.js');
      return serveStdio(config, program);
    }
    const place = placeOf(program.env);
    if (place !== null) {
      const { serveChild } = await import('../app/serve-child.js');
      return serveChild(config, program, place);
    }
    if (config.serverProcesses > 1) {
      const { servePrimary } = await import('../app/serve-primary.js');
      return servePrimary(config, program);
    }
    const { serveHttp } = await import('../app/serve-http.js');
    return serveHttp(config, program);
  },
};
